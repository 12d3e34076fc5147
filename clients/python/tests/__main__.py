"""Runs the tests and prints one line of JSON for each: `python3 -m tests [name…]`. Ends with 1 if one failed."""

from __future__ import annotations

import json
import sys
import unittest
from pathlib import Path
from typing import Any, Optional


class LineResult(unittest.TestResult):
    """Prints what became of each test."""

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._outcome, self._detail = "passed", ""

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self._fail(test, self.errors[-1][1])

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self._fail(test, self.failures[-1][1])

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Optional[Any]) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._outcome, self._detail = "failed", (self.errors + self.failures)[-1][1]

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self._outcome, self._detail = "skipped", reason

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        self._tell(test.id())

    def _fail(self, test: unittest.TestCase, detail: str) -> None:
        self._outcome, self._detail = "failed", detail
        # A module that cannot be read, or a fixture that fails, is no test that starts and stops.
        if "setUpClass" in test.id() or "tearDownClass" in test.id():
            self._tell(test.id())

    def _tell(self, name: str) -> None:
        line = {"name": name.replace("tests.", "", 1), "outcome": self._outcome, "detail": self._detail}
        print(json.dumps(line), flush=True)


def main() -> int:
    loader = unittest.TestLoader()
    if sys.argv[1:]:
        suite = loader.loadTestsFromNames([f"tests.{name}" for name in sys.argv[1:]])
    else:
        suite = loader.discover(str(Path(__file__).parent), top_level_dir=str(Path(__file__).parent.parent))
    result = LineResult()
    suite.run(result)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
