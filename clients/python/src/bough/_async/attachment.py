"""A terminal at a distance: both ways at once, over a WebSocket."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Optional, Union

from .._async_stream import AsyncWebSocket
from .._frames import CONTROL, STDIN, FrameDecoder, OutputReader, encode_frame
from ..records import ProcessOutput

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_MAX_STDIN_BYTES = 64 << 10


class AsyncAttachment:
    """A connection to a process, most of all to one with a terminal. It ends with the process, or leaves it running when it is closed.

    One may read while others write. Who reads slowly makes the program wait.
    """

    def __init__(self, socket: AsyncWebSocket) -> None:
        self._socket = socket

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self.aclose()

    async def output(self) -> AsyncGenerator[ProcessOutput, None]:
        """What it prints, `end` last. Leaving it ends the connection."""
        decoder, reader = FrameDecoder(), OutputReader()
        try:
            while message := await self._socket.read():
                for frame in decoder.push(message):
                    piece = reader.of_process(frame)
                    if piece is not None:
                        yield piece
        finally:
            self._socket.close()

    async def write(self, data: Union[str, bytes]) -> None:
        """Types: text or bytes for its standard input."""
        typed = data.encode() if isinstance(data, str) else data
        for at in range(0, len(typed), _MAX_STDIN_BYTES):
            await self._socket.send(encode_frame(STDIN, typed[at : at + _MAX_STDIN_BYTES]))

    async def end_input(self) -> None:
        """Ends its standard input."""
        await self._socket.send(encode_frame(STDIN, b""))

    async def resize(self, cols: int, rows: int) -> None:
        """Tells its terminal a new size."""
        await self._control({"resize": {"cols": cols, "rows": rows}})

    async def signal(self, number: int) -> None:
        """Sends it a signal, by number."""
        await self._control({"signal": number})

    async def aclose(self) -> None:
        """Ends the connection; the process runs on."""
        self._socket.close()

    async def _control(self, what: Any) -> None:
        await self._socket.send(encode_frame(CONTROL, json.dumps(what).encode()))
