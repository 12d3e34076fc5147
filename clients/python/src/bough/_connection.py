"""One kept connection to the daemon: one request, one answer, as often as both sides want.

The reading of answers is `http.client`'s. It reads from a `_TimedSocket`, which gives every wait what is left of the call's
deadline, so that a daemon that sends a byte now and then does not hold a call for ever.

Invariant: whatever goes wrong in an exchange, an exception of a signal handler included, the connection is closed and never used
again: an answer belongs to the call that asked for it.

After `os.fork` a connection belongs to the process that made it: the child closes its copy without a word on the wire.
"""

from __future__ import annotations

import http.client
import io
import os
import select
import socket
import ssl
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Optional, cast

from ._config import Address
from ._message import Answer, Call
from .cancel import Cancel
from .errors import BoughTimeout, BoughUnreachable

CONNECT_SECS = 10.0
"""For a daemon that accepts no connection, on a call without a deadline of its own."""
IDLE_SECS = 55.0
"""A daemon closes a connection after 65 seconds without a call; earlier here, so that both do not meet."""
MAX_ANSWER_BYTES = 256 << 20
"""More than two streams of 16 MiB, each byte escaped as six."""
_PIECE_BYTES = 1 << 20
_SENT_BYTES = 64 << 10


class ConnectionLost(Exception):
    """There is no answer. `was_sent`: the request has left whole, so that the daemon may have done what it asks for."""

    def __init__(self, problem: str, *, was_sent: bool, was_connected: bool) -> None:
        super().__init__(problem)
        self.problem = problem
        self.was_sent = was_sent
        self.was_connected = was_connected


class Deadline:
    """A moment, or never."""

    def __init__(self, give_up_secs: Optional[float]) -> None:
        self._give_up_secs = give_up_secs
        self._end_secs: Optional[float] = None
        self.restart()

    def restart(self) -> None:
        """As if it were made now."""
        self._end_secs = None if self._give_up_secs is None else time.monotonic() + self._give_up_secs

    def remaining_secs(self) -> Optional[float]:
        """What is left; None for never. Raises BoughTimeout when nothing is."""
        if self._end_secs is None:
            return None
        left = self._end_secs - time.monotonic()
        if left <= 0:
            raise BoughTimeout(f"No answer within {self._give_up_secs:g} s")
        return left


class _TimedSocket(io.RawIOBase):
    """What `http.client` reads an answer from: the socket, each wait bounded by the deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.remaining_secs())
        return self._sock.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """As a socket's."""
        return io.BufferedReader(self, 64 << 10)


class Connection:
    """A connection, made by its first exchange."""

    def __init__(self, address: Address, tls: Optional[ssl.SSLContext]) -> None:
        self._address = address
        self._tls = tls
        self._sock: Optional[socket.socket] = None
        self._owner_pid = os.getpid()
        self._used_at_secs = time.monotonic()

    def is_usable(self) -> bool:
        """Whether a request may be sent: it is ours, not old, and the daemon has not closed it."""
        if self._sock is None or self._owner_pid != os.getpid() or time.monotonic() - self._used_at_secs > IDLE_SECS:
            return False
        self._sock.settimeout(0)
        try:
            # Nothing is due now: what can be read is the end, or an answer to nobody. Below TLS, if there is any.
            socket.socket.recv(self._sock, 1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def exchange(self, call: Call, deadline: Deadline, cancel: Optional[Cancel]) -> Answer:
        """Sends the call and reads its answer. Raises ConnectionLost, BoughUnreachable, BoughTimeout, BoughCancelled."""
        try:
            if cancel is None:
                return self._exchange(call, deadline, None)
            with cancel.watching(self.wake):
                return self._exchange(call, deadline, cancel)
        except BaseException as error:
            self.close()
            if cancel is not None and isinstance(error, Exception):
                cancel.check()
            raise
        finally:
            # Set too late to end this call, it may still be about to wake this connection.
            if cancel is not None and cancel.is_set:
                self.close()

    def close(self) -> None:
        """Idempotent."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        if self._owner_pid == os.getpid():
            _shut(sock)
        sock.close()

    @property
    def is_open(self) -> bool:
        """Whether there is anything to keep."""
        return self._sock is not None

    def open(self, call: Call, deadline: Deadline, cancel: Cancel) -> http.client.HTTPResponse:
        """Sends the call and reads the head of its answer, whose body is read from the response. Raises as `exchange` does."""
        sent = _Sent()
        with self._telling(sent, deadline):
            return self._begin(call, deadline, cancel, sent)

    def wake(self) -> None:
        """Ends what is read and sent, from another thread."""
        if self._sock is not None:
            _shut(self._sock)

    def send(self, data: bytes, deadline: Deadline) -> None:
        """Sends more. Raises OSError."""
        sock = self._sock
        if sock is None:
            raise ConnectionError("the connection is closed")
        sock.settimeout(deadline.remaining_secs())
        sock.sendall(data)

    def _exchange(self, call: Call, deadline: Deadline, cancel: Optional[Cancel]) -> Answer:
        sent = _Sent()
        with self._telling(sent, deadline):
            answer = self._read(self._begin(call, deadline, cancel, sent), sent)
        self._used_at_secs = time.monotonic()
        return answer

    @contextmanager
    def _telling(self, sent: _Sent, deadline: Deadline) -> Generator[None, None, None]:
        """Failures as what they mean to the call."""
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, BoughTimeout):
                raise
            deadline.remaining_secs()
            if not _is_end(error):
                raise BoughUnreachable(self._address.url, problem_of(error), may_have_happened=sent.whole) from error
            connected = self._sock is not None
            raise ConnectionLost(problem_of(error), was_sent=sent.whole, was_connected=connected) from error

    def _begin(
        self, call: Call, deadline: Deadline, cancel: Optional[Cancel], sent: _Sent
    ) -> http.client.HTTPResponse:
        sock = self._connected(deadline)
        if cancel is not None:
            cancel.check()
        sent.refused = self._send(sock, call, deadline)
        sent.whole = sent.refused is None
        # Of a socket it asks for `makefile` only.
        response = http.client.HTTPResponse(cast(Any, _TimedSocket(sock, deadline)), method=call.method)
        try:
            response.begin()
        except BaseException as error:
            response.close()
            if sent.refused is not None and isinstance(error, (OSError, http.client.HTTPException)):
                raise sent.refused from error
            raise
        return response

    def _connected(self, deadline: Deadline) -> socket.socket:
        if self._sock is not None:
            return self._sock
        left = deadline.remaining_secs()
        secs = CONNECT_SECS if left is None else min(left, CONNECT_SECS)
        sock = socket.create_connection((self._address.host, self._address.port), secs)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_hostname=self._address.host)
        except BaseException:
            sock.close()
            raise
        self._sock = sock
        return sock

    def _send(self, sock: socket.socket, call: Call, deadline: Deadline) -> Optional[OSError]:
        """Sends all of it; otherwise what kept it from being sent."""
        sock.settimeout(deadline.remaining_secs())
        try:
            sock.sendall(call.data)
            for piece in call.pieces or ():
                self._send_piece(sock, piece, deadline)
            if call.pieces is not None:
                sock.sendall(b"0\r\n\r\n")
        except ConnectionError as error:
            # A daemon that does not want the rest of a request has answered already, perhaps.
            return error
        return None

    def _send_piece(self, sock: socket.socket, piece: bytes, deadline: Deadline) -> None:
        """Raises ConnectionError where there is an answer already: nobody reads the rest."""
        for at in range(0, len(piece), _SENT_BYTES):
            part = piece[at : at + _SENT_BYTES]
            # Below TLS, if there is any, which sends nothing of its own before it is asked.
            readable, _, _ = select.select([sock], [sock], [], deadline.remaining_secs())
            if readable:
                raise ConnectionError("the daemon has answered")
            sock.settimeout(deadline.remaining_secs())
            sock.sendall(b"%x\r\n%b\r\n" % (len(part), part))

    def _read(self, response: http.client.HTTPResponse, sent: _Sent) -> Answer:
        try:
            answer = answer_of(response)
        except (OSError, http.client.HTTPException) as error:
            raise sent.refused or error
        finally:
            response.close()
        if response.will_close or sent.refused is not None:
            self.close()
        return answer


class _Sent:
    """How much of a request has left."""

    def __init__(self) -> None:
        self.whole = False
        self.refused: Optional[OSError] = None
        """What kept the rest from being sent."""


def answer_of(response: http.client.HTTPResponse) -> Answer:
    """All of an answer. Raises OSError and HTTPException."""
    headers = {name.lower(): value for name, value in response.getheaders()}
    content_type = headers.get("content-type", "").lower()
    return Answer(response.status, content_type, headers.get("x-request-id"), _whole(response), headers)


def _whole(response: http.client.HTTPResponse) -> bytes:
    body = bytearray()
    while piece := response.read(_PIECE_BYTES):
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise http.client.HTTPException(f"the answer is larger than {MAX_ANSWER_BYTES >> 20} MiB")
    # Reading in pieces, http.client takes an end for the end, whatever length was announced.
    if response.length:
        raise http.client.IncompleteRead(bytes(body), response.length)
    return bytes(body)


def _shut(sock: socket.socket) -> None:
    """Ends the connection whoever else holds its descriptor, and wakes who waits for it."""
    try:
        # Not SSLSocket's own: that one lets go of its session under the thread that reads.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # Not connected any more.


def _is_end(error: Exception) -> bool:
    """Whether the daemon is gone, in contrast to one that says what cannot be understood."""
    return isinstance(error, (OSError, http.client.IncompleteRead))


def problem_of(error: Exception) -> str:
    """What is wrong, for people."""
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection ended in the middle of the answer"
    if isinstance(error, (http.client.RemoteDisconnected, ConnectionError)):
        return "the connection was closed before there was an answer"
    if isinstance(error, (http.client.BadStatusLine, http.client.UnknownProtocol)):
        return "what listens there does not speak HTTP"
    if isinstance(error, socket.timeout):
        return f"no connection within {CONNECT_SECS:g} s"
    return str(error) or type(error).__name__
