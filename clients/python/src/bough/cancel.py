"""Stops a call from elsewhere: another thread, or a signal handler.

Without locks, since a signal handler may run anywhere in its own thread's code. Instead the order decides: `set` marks first and
then runs the hooks, `watching` adds its hook first and then looks at the mark, and looks again after it took the hook away. So a
hook is run, or the mark is seen; and whoever does not see the mark at the end knows that its hook is not run later.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Callable

from .errors import BoughCancelled


class Cancel:
    """Ends the calls it was given to with `BoughCancelled`, those under way and later ones: `bough.version(cancel=stop)`.

    `set` may be called from any thread and from a signal handler. One object may be given to any number of calls.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._hooks: dict[object, Callable[[], object]] = {}

    @property
    def is_set(self) -> bool:
        """Whether it was set; it stays so."""
        return self._is_set

    def set(self) -> None:
        """Ends the calls."""
        self._is_set = True
        for hook in list(self._hooks.values()):
            hook()

    def check(self) -> None:
        """Raises `BoughCancelled` if it was set."""
        if self._is_set:
            raise BoughCancelled("The call was cancelled")

    @contextmanager
    def watching(self, hook: Callable[[], object]) -> Generator[None, None, None]:
        """Runs `hook` if it is set meanwhile. Raises `BoughCancelled` if it was set before."""
        place = object()
        self._hooks[place] = hook
        try:
            self.check()
            yield
        finally:
            del self._hooks[place]
