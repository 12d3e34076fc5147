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
from typing import Any, NamedTuple, Optional, Union

from ._config import find_address, find_tls, find_token
from ._connection import Connection, ConnectionLost, Deadline
from ._message import Answer, Bytes, Call, Extras, port_place, prepare, read_answer
from ._stream import Stream
from ._websocket import WebSocket, handshake
from .cancel import Cancel
from .errors import BoughUnreachable, ShuttingDown

MAX_IDLE = 32
"""Connections kept for later calls; more than these are closed after use."""
RESTART_SECS = 5.0
"""How long a daemon that went away is waited for."""
_FIRST_DELAY_SECS = 0.02
_MAX_DELAY_SECS = 0.3


Params = Mapping[str, Union[str, int]]


class Reply(NamedTuple):
    """An answer's body as a value, and its headers by their names in lower case."""

    value: Any
    headers: Mapping[str, str]


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
        self._tls = find_tls(tls) if self._address.is_tls else None
        self._idle: deque[Connection] = deque()

    @property
    def url(self) -> str:
        """The daemon's."""
        return self._address.url

    def call(self, route: str, params: Params, given: Mapping[str, object]) -> Any:
        """Calls a route by its name in the API's OpenAPI document; returns its answer's body, None if it has none."""
        return self.reply(route, params, given).value

    def reply(
        self, route: str, params: Params, given: Mapping[str, object], data: Optional[Bytes] = None
    ) -> Reply:
        """The same with the answer's headers; `data` is the body, for a route that takes bytes, as a whole or in pieces."""
        return self.send(self.prepare(route, params, given, Extras(data=data)))

    def open(self, route: str, params: Params, given: Mapping[str, object], accept: str) -> Stream:
        """Calls a route that answers with a stream of that type. To be closed."""
        call = self.prepare(route, params, given, Extras(accept))
        return self.begin(call, call.cancel or Cancel())

    def connect(self, route: str, params: Params, given: Mapping[str, object]) -> WebSocket:
        """Opens a route that is a WebSocket. To be closed."""
        asked = handshake()
        call = self.prepare(route, params, given, asked)
        return self.begin_socket(call, call.cancel or Cancel(), asked)

    def port_url(self, sandbox_id: str, port: int) -> str:
        """Where a port of a sandbox is found over HTTP."""
        return self.url + port_place(sandbox_id, port)

    def sleep(self, secs: float, cancel: Optional[Cancel]) -> None:
        """Waits; `cancel` is seen after that."""
        time.sleep(secs)
        if cancel is not None:
            cancel.check()

    def prepare(
        self, route: str, params: Params, given: Mapping[str, object], extras: Extras = Extras()
    ) -> Call:
        """A call that is checked and ready for `send`."""
        return prepare(self._address, self._token, route, params, given, extras)

    def begin(self, call: Call, cancel: Cancel) -> Stream:
        """Sends a call whose answer is a stream. Never repeats it."""
        return Stream(self.url, self._fresh(), call, self._deadline(call), cancel)

    def begin_socket(self, call: Call, cancel: Cancel, asked: Extras) -> WebSocket:
        """Sends a call that asks for a WebSocket so."""
        return WebSocket(self.url, self._fresh(), call, self._deadline(call), cancel, asked)

    def _fresh(self) -> Connection:
        return Connection(self._address, self._tls)

    def _deadline(self, call: Call) -> Deadline:
        return Deadline(self._give_up_secs if call.give_up_secs is None else call.give_up_secs)

    def send(self, call: Call, cancel: Optional[Cancel] = None) -> Reply:
        """Sends a call, on `cancel` in place of its own, and reads its answer."""
        cancel = cancel or call.cancel
        deadline = self._deadline(call)
        restart = _Restart()
        while True:
            try:
                answer = self._exchange(call, deadline, cancel)
                return Reply(read_answer(answer), answer.headers)
            except ConnectionLost as lost:
                # Pieces that were taken do not come again.
                if call.pieces is not None or not restart.is_worth_waiting(lost, call.may_repeat):
                    raise self._unreachable(lost, restart) from lost.__cause__
            except ShuttingDown:
                if call.pieces is not None or not call.may_repeat or not restart.begin():
                    raise
            restart.wait(deadline, cancel)

    def close(self) -> None:
        """Lets go of the idle connections. A later call makes a new one."""
        while (connection := self._take()) is not None:
            connection.close()

    def _exchange(self, call: Call, deadline: Deadline, cancel: Optional[Cancel]) -> Answer:
        connection = self._fresh() if call.pieces is not None else self._take() or self._fresh()
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
