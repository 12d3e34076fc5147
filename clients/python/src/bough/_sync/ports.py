# Made from ../_async by scripts/make_sync.py; do not edit.
"""TCP ports of one sandbox."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Optional, Union

from .._websocket import WebSocket
from .._transport import Transport

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from ..requests import CallOptions

_MAX_MESSAGE_BYTES = 256 << 10


class SandboxPorts:
    """`sandbox.ports`: programs that listen in a sandbox. No port of the host is opened for them."""

    def __init__(self, transport: Transport, sandbox_id: str) -> None:
        self._transport = transport
        self._id = sandbox_id

    def url(self, port: int, path: str = "/") -> str:
        """Where a program that serves HTTP on a port is found, by whoever may call the daemon."""
        return self._transport.port_url(self._id, port) + (path if path.startswith("/") else f"/{path}")

    def connect(self, port: int, **options: Unpack[CallOptions]) -> PortConnection:
        """Connects to a port. That nobody listens there is told when it is read from or written to: `AgentError` (`port_unreachable`)."""
        socket = self._transport.connect("connectPort", {"id": self._id, "port": port}, options)
        return PortConnection(socket)


class PortConnection:
    """A connection to a port of a guest, each direction with its own end. To be closed, which the program sees as a reset.

    One may read while others write. Neither side is read faster than the other takes it.
    """

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._has_ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def read(self) -> bytes:
        """What comes next; nothing once the program sends no more."""
        piece = b"" if self._has_ended else self._socket.read()
        self._has_ended = not piece
        return piece

    def pieces(self) -> Generator[bytes, None, None]:
        """All that comes."""
        while piece := self.read():
            yield piece

    def write(self, data: Union[str, bytes]) -> None:
        """Sends text or bytes."""
        sent = data.encode() if isinstance(data, str) else data
        for at in range(0, len(sent), _MAX_MESSAGE_BYTES):
            self._socket.send(sent[at : at + _MAX_MESSAGE_BYTES])

    def end(self) -> None:
        """Sends no more; the other direction goes on."""
        self._socket.send(b"")

    def close(self) -> None:
        """Ends both directions at once."""
        self._socket.close()
