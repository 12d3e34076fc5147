"""A WebSocket (RFC 6455) to the daemon: binary messages both ways.

One thread may read while others send. Not handled: extensions, which are not asked for, and text messages, which nobody sends.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import struct
import threading

from ._connection import Connection, Deadline
from ._message import Call, Extras, refusal
from ._stream import Stream
from .cancel import Cancel
from .errors import BoughUnreachable

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUED, _BINARY, _CLOSE, _PING, _PONG = 0, 2, 8, 9, 10
_FINAL, _MASKED = 0x80, 0x80
_NORMAL, _FAILED = 1000, 1011
_MAX_MESSAGE_BYTES = 64 << 20


def handshake() -> Extras:
    """What a call asks for a WebSocket with."""
    key = base64.b64encode(os.urandom(16)).decode()
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    return Extras(headers={**headers, "Sec-WebSocket-Key": key})


class WebSocket(Stream):
    """`read` gives a message at a time; an empty one is as good as any, and the end is one more."""

    def __init__(
        self, url: str, connection: Connection, call: Call, deadline: Deadline, cancel: Cancel, asked: Extras
    ) -> None:
        self._key = asked.headers["Sec-WebSocket-Key"].encode()
        self._sending = threading.Lock()
        self._is_socket = False
        self._has_ended = False
        super().__init__(url, connection, call, deadline, cancel)
        self._is_socket = True

    def _is_begun(self, response: http.client.HTTPResponse) -> bool:
        accepted = base64.b64encode(hashlib.sha1(self._key + _GUID).digest()).decode()
        return response.status == 101 and response.getheader("sec-websocket-accept") == accepted

    def read(self) -> bytes:
        """The next message; nothing at the end, and for an empty one, which ends nothing."""
        self._deadline.restart()
        with self._telling():
            message = self._next()
        if self._has_ended:
            self.close()
        return message

    def send(self, message: bytes) -> None:
        """Sends a message; returns when the connection has taken it."""
        with self._telling():
            self._send(_BINARY, message)

    def close(self) -> None:
        """Ends it. Idempotent."""
        if self._is_socket and self._connection.is_open:
            try:
                self._send(_CLOSE, struct.pack(">H", _NORMAL))
            except OSError:
                pass  # It has ended without us.
        super().close()

    def _next(self) -> bytes:
        message = bytearray()
        while True:
            first, payload = self._frame(_MAX_MESSAGE_BYTES - len(message))
            kind = first & 0x0F
            if kind == _CLOSE:
                return self._ended(payload)
            if kind == _PING:
                self._send(_PONG, payload)
            if kind not in (_CONTINUED, _BINARY):
                continue
            message += payload
            if first & _FINAL:
                return bytes(message)

    def _frame(self, limit_bytes: int) -> tuple[int, bytes]:
        first, length = self._exactly(2)
        if length == 126:
            (length,) = struct.unpack(">H", self._exactly(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._exactly(8))
        if length > limit_bytes:
            raise http.client.HTTPException(f"a message is longer than {_MAX_MESSAGE_BYTES} bytes")
        return first, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        data = self._response.fp.read(count)
        if len(data) < count:
            raise http.client.IncompleteRead(data, count - len(data))
        return data

    def _ended(self, payload: bytes) -> bytes:
        self._has_ended = True
        code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else _NORMAL
        reason = payload[2:].decode("utf-8", "replace")
        if code == _FAILED:
            raise refusal(f"The daemon ended it: {reason}", status=101, code=reason)
        if code != _NORMAL:
            raise BoughUnreachable(self._url, "the daemon ended the connection", may_have_happened=True)
        return b""

    def _send(self, kind: int, payload: bytes) -> None:
        length, head = len(payload), bytes([_FINAL | kind])
        if length < 126:
            head += bytes([_MASKED | length])
        elif length < 1 << 16:
            head += struct.pack(">BH", _MASKED | 126, length)
        else:
            head += struct.pack(">BQ", _MASKED | 127, length)
        mask = os.urandom(4)
        with self._sending:
            self._connection.send(head + mask + _masked(payload, mask), self._deadline)


def _masked(payload: bytes, mask: bytes) -> bytes:
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(payload), "big")
