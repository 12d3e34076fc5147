"""Calls routes: takes a connection that is idle or makes one, and repeats what may be repeated when the daemon goes away under it.

Any number of threads may call at once, each on a connection of its own. There is no lock: the idle connections are a deque, whose
ends are atomic, so that a process forked at any moment finds nothing locked. What its parent left in there it closes unused.

A call is sent again only if nothing can happen twice: it never left whole, it is harmless (reading, ping), or it has an
idempotency key. And only if the daemon was there at first: where nothing listens, that is said at once.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Optional

from ._config import find_address, find_token
from ._connection import Connection, ConnectionLost, Deadline
from ._message import Answer, Call, prepare, read_answer
from .cancel import Cancel
from .errors import BoughUnreachable, ShuttingDown

MAX_IDLE = 32
"""Connections kept for later calls; more than these are closed after use."""
RESTART_SECS = 5.0
"""How long a daemon that went away is waited for."""
_FIRST_DELAY_SECS = 0.02
_MAX_DELAY_SECS = 0.3


class Transport:
    """Makes calls to one daemon."""

    def __init__(
        self,
        url: Optional[str] = None,
        token: Optional[str] = None,
        token_file: Optional[str] = None,
        give_up_secs: Optional[float] = None,
        tls: Optional[ssl.SSLContext] = None,
    ) -> None:
        self._address = find_address(url)
        self._token = find_token(token, token_file)
        self._give_up_secs = give_up_secs
        self._tls = (tls or ssl.create_default_context()) if self._address.is_tls else None
        self._idle: deque[Connection] = deque()

    @property
    def url(self) -> str:
        """The daemon's."""
        return self._address.url

    def call(self, route: str, params: Mapping[str, str], given: Mapping[str, object]) -> Any:
        """Calls a route by its name in the API's OpenAPI document; returns its answer's body, None if it has none."""
        return self.send(self.prepare(route, params, given))

    def prepare(self, route: str, params: Mapping[str, str], given: Mapping[str, object]) -> Call:
        """A call that is checked and ready for `send`."""
        return prepare(self._address, self._token, route, params, given)

    def send(self, call: Call, cancel: Optional[Cancel] = None) -> Any:
        """Sends a call, on `cancel` in place of its own, and reads its answer."""
        cancel = cancel or call.cancel
        deadline = Deadline(self._give_up_secs if call.give_up_secs is None else call.give_up_secs)
        restart = _Restart()
        while True:
            try:
                return read_answer(self._exchange(call, deadline, cancel))
            except ConnectionLost as lost:
                if not restart.is_worth_waiting(lost, call.may_repeat):
                    raise self._unreachable(lost, restart) from lost.__cause__
            except ShuttingDown:
                if not call.may_repeat or not restart.begin():
                    raise
            restart.wait(deadline, cancel)

    def close(self) -> None:
        """Lets go of the idle connections. A later call makes a new one."""
        while (connection := self._take()) is not None:
            connection.close()

    def _exchange(self, call: Call, deadline: Deadline, cancel: Optional[Cancel]) -> Answer:
        connection = self._take() or Connection(self._address, self._tls)
        answer = connection.exchange(call, deadline, cancel)
        if connection.is_open and len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _take(self) -> Optional[Connection]:
        """The connection used last that still can be."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_usable():
                return connection
            connection.close()

    def _unreachable(self, lost: ConnectionLost, restart: _Restart) -> BoughUnreachable:
        return BoughUnreachable(self.url, lost.problem, may_have_happened=lost.was_sent or restart.was_sent)


class _Restart:
    """The time since the daemon went away under one call."""

    def __init__(self) -> None:
        self.was_sent = False
        self._end_secs: Optional[float] = None
        self._delay_secs = 0.0

    def is_worth_waiting(self, lost: ConnectionLost, may_repeat: bool) -> bool:
        """Whether the call that was lost so should be sent again."""
        if lost.was_sent:
            self.was_sent = True
            return may_repeat and self.begin()
        return (lost.was_connected or self._end_secs is not None) and self.begin()

    def begin(self) -> bool:
        """Starts the clock; false once it has run down."""
        if self._end_secs is None:
            self._end_secs = time.monotonic() + RESTART_SECS
        return time.monotonic() < self._end_secs

    def wait(self, deadline: Deadline, cancel: Optional[Cancel]) -> None:
        """Until the next attempt: the first at once, later ones further and further apart."""
        left = deadline.remaining_secs()
        time.sleep(self._delay_secs if left is None else min(self._delay_secs, left))
        self._delay_secs = min(max(self._delay_secs * 2, _FIRST_DELAY_SECS), _MAX_DELAY_SECS)
        if cancel is not None:
            cancel.check()
