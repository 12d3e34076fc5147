"""A notebook kernel that can go back: cells share their variables, and the state before each cell is kept.

    pip install ./clients/python
    python3 examples/notebook_kernel.py [--tag <snapshot>] [notebook.ipynb]

A cell is run in the warm interpreter of a sandbox, which is branched before it. So after a cell that failed, or that
changed what it should not have, the notebook goes on from the state before it: no cell above is run again. Without a
notebook of your own it runs the three cells below.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bough import Bough, Sandbox

CELLS = [
    "values = [3, 1, 2]",
    "values.sort()\nprint('sorted')\nvalues",
    "values.clear()\nsum(values) / len(values)",
]
BETTER = "sum(values) / len(values)"


class Kernel:
    """One notebook's interpreter, and its states."""

    def __init__(self, bough: Bough, tag: str) -> None:
        self._bough = bough
        self._sandbox: Sandbox = bough.spawn(tag)
        self._states: list[str] = []

    def run(self, code: str) -> bool:
        """Runs a cell and prints what it gives; whether it did not fail."""
        self._states.append(self._sandbox.branch()["tag"])
        answer = self._sandbox.eval(code)
        number = len(self._states)
        if answer["stdout"]:
            print(answer["stdout"], end="")
        error = answer["error"]
        print(f"[{number}] {error.strip().splitlines()[-1] if error else answer['result'] or ''}".rstrip())
        return error is None

    def go_back(self, number: int) -> None:
        """To the state before the cell of that number, as if it and those after it had not been run."""
        self._sandbox.kill()
        self._sandbox = self._bough.spawn(self._states[number - 1])
        print(f"back to before [{number}]")
        self._drop(number - 1)

    def close(self) -> None:
        """Ends the interpreter and forgets its states."""
        self._sandbox.kill()
        self._drop(0)

    def _drop(self, kept: int) -> None:
        # The newest first: a state builds on those before it.
        for tag in reversed(self._states[kept:]):
            self._bough.snapshots.delete(tag, force=True)
        del self._states[kept:]


def cells_of(path: Path) -> list[str]:
    """The code of a notebook's cells."""
    cells = json.loads(path.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def main(tag: str, path: str | None) -> None:
    """Runs the cells, and after a failure the better third one."""
    kernel = Kernel(Bough(), tag)
    try:
        for number, code in enumerate(cells_of(Path(path)) if path else CELLS, 1):
            if kernel.run(code):
                continue
            kernel.go_back(number)
            if path:
                break
            kernel.run(BETTER)
    finally:
        kernel.close()


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--tag", default="base")
    options.add_argument("notebook", nargs="?")
    given = options.parse_args()
    main(given.tag, given.notebook)
