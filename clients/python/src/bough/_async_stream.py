"""Streams in asyncio: those of plain programs, each wait in a thread of its own. See `_async_transport` for why."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterable, Iterator
from typing import Any, Callable, Generic, Optional, TypeVar

from ._stream import Stream
from ._websocket import WebSocket
from .cancel import Cancel

T = TypeVar("T")
S = TypeVar("S", bound=Stream)


class _InThreads(Generic[S]):
    """A stream whose waits are in threads. A task that is cancelled while it waits ends the stream."""

    def __init__(self, stream: S, cancel: Cancel, callers: Optional[Cancel]) -> None:
        self._stream = stream
        self._cancel = cancel
        self._busy = 0
        self._watch = contextlib.ExitStack()
        if callers is not None:
            self._watch.enter_context(callers.watching(cancel.set))

    async def read(self) -> bytes:
        """What comes next; nothing at the end."""
        return await self._run(self._stream.read)

    def close(self) -> None:
        """Ends it, at the daemon too. Idempotent."""
        # Set first and looked at the threads then; a thread looks at the mark once it is done: one of the two closes it.
        self._cancel.set()
        if self._busy == 0:
            self._stream.close()
        self._watch.close()

    async def _run(self, work: Callable[[], T]) -> T:
        self._busy += 1

        def run() -> T:
            try:
                return work()
            finally:
                self._busy -= 1
                if self._cancel.is_set:
                    self._stream.close()

        try:
            return await in_thread(run)
        except asyncio.CancelledError:
            self.close()
            raise


class AsyncStream(_InThreads[Stream]):
    """Bytes of an answer."""


class AsyncWebSocket(_InThreads[WebSocket]):
    """Messages both ways."""

    async def send(self, message: bytes) -> None:
        """Sends a message; returns when the connection has taken it."""
        await self._run(lambda: self._stream.send(message))


def taken_in_thread(pieces: AsyncIterable[bytes], cancel: Cancel) -> Iterator[bytes]:
    """What the loop that calls this brings, for a thread to take."""
    loop, iterator = asyncio.get_running_loop(), pieces.__aiter__()

    async def next_piece() -> Optional[bytes]:
        try:
            return await iterator.__anext__()
        except StopAsyncIteration:
            return None

    def take() -> Iterator[bytes]:
        while True:
            due = asyncio.run_coroutine_threadsafe(next_piece(), loop)
            with cancel.watching(due.cancel):
                piece = due.result()
            if piece is None:
                return
            yield piece

    return take()


async def in_thread(work: Callable[[], T]) -> T:
    """What `work` returns or raises, in a thread of its own."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: Optional[BaseException]) -> None:
        if done.done():
            return  # Nobody waits any more.
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # The loop has ended meanwhile.
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="bough-call", daemon=True).start()
    return await done
