"""Frames of the agent protocol: one byte kind, four bytes length (big-endian), payload. See docs/internals/agent-protocol.md.

Reading is incremental (`Decoder`), because the same connection is read in blocking and in polling code. A frame that is
too long or of an unknown kind is a `ProtocolError`; the only answer to that is to close the connection.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False  # the module of that name would be loaded for it at each boot
if TYPE_CHECKING:
    from typing import Any

REQUEST = 1
STDIN = 2
STDOUT = 3
STDERR = 4
END = 9

HEADER_BYTES = 5
MAX_REQUEST_BYTES = 8 << 20
MAX_STDIN_BYTES = 1 << 20
CHUNK_BYTES = 64 << 10

# What a client may send, and how much of it in one frame. Everything else is refused before it is read.
_CLIENT_LIMITS = {REQUEST: MAX_REQUEST_BYTES, STDIN: MAX_STDIN_BYTES}


class ProtocolError(Exception):
    """The peer does not speak this protocol."""


def encode(kind: int, payload: bytes) -> bytes:
    return bytes((kind,)) + len(payload).to_bytes(4, 'big') + payload


def encode_json(kind: int, value: dict[str, Any]) -> bytes:
    # Not as ASCII: that can be six times as long. A lone surrogate is the reader's to replace.
    text = json.dumps(value, separators=(',', ':'), ensure_ascii=False)
    return encode(kind, text.encode(errors='surrogatepass'))


class Decoder:
    """Takes bytes as they come, gives whole frames. Holds at most one frame more than what was asked for."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> None:
        self._buffer += chunk

    def next(self) -> tuple[int, bytes] | None:
        """The next (kind, payload), or None when more bytes are needed."""
        buffer = self._buffer
        if len(buffer) < HEADER_BYTES:
            return None
        kind = buffer[0]
        length = int.from_bytes(buffer[1:HEADER_BYTES], 'big')
        limit = _CLIENT_LIMITS.get(kind)
        if limit is None or length > limit:
            raise ProtocolError(f'frame of kind {kind} with {length} bytes')
        end = HEADER_BYTES + length
        if len(buffer) < end:
            return None
        payload = bytes(memoryview(buffer)[HEADER_BYTES:end])
        del buffer[:end]
        return kind, payload


def parse_request(payload: bytes) -> dict[str, Any]:
    """The request object of a REQUEST frame."""
    try:
        request = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise ProtocolError('request is not JSON') from error
    if not isinstance(request, dict) or not isinstance(request.get('op'), str):
        raise ProtocolError('request is not an object with an op')
    return request
