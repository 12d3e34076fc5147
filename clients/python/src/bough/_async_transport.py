"""Calls routes from asyncio: the transport, each call in a thread of its own.

Why threads: the standard library has no HTTP client for asyncio, and a second one beside the first would be a second place for
every fault of reading HTTP. A call lasts milliseconds at least, a thread is made in some 50 microseconds, and it only waits. Why
not the loop's own executor: it has a handful of threads on a small machine, so that a few long `exec` would hold up everything
else, and the interpreter waits for them when it ends, for as long as such a call takes.

A task that is cancelled shuts its connection down, which wakes the thread and tells the daemon. No more than `MAX_CALLS` run at
once for one client and loop; others wait their turn without a thread. Streams do not count: each holds a connection, and a thread
while something of it is waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, Mapping
from typing import Any, Callable, Optional, TypeVar

from ._async_stream import AsyncStream, AsyncWebSocket, in_thread, taken_in_thread
from ._message import AsyncBytes, Call, Extras
from ._transport import Params, Reply, Transport
from ._websocket import handshake
from .cancel import Cancel

T = TypeVar("T")

MAX_CALLS = 256
"""A daemon takes 1,024 connections, from all of its clients."""


class AsyncTransport:
    """Makes calls to one daemon."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._turns: Optional[tuple[asyncio.AbstractEventLoop, asyncio.Semaphore]] = None

    @property
    def url(self) -> str:
        """The daemon's."""
        return self._transport.url

    def close(self) -> None:
        """Lets go of the idle connections. A later call makes a new one."""
        self._transport.close()

    async def call(self, route: str, params: Params, given: Mapping[str, object]) -> Any:
        """Calls a route by its name in the API's OpenAPI document; returns its answer's body, None if it has none."""
        return (await self.reply(route, params, given)).value

    async def reply(
        self, route: str, params: Params, given: Mapping[str, object], data: Optional[AsyncBytes] = None
    ) -> Reply:
        """The same with the answer's headers; `data` is the body, for a route that takes bytes, as a whole or in pieces."""
        cancel = Cancel()
        body = taken_in_thread(data, cancel) if isinstance(data, AsyncIterable) else data
        call = self._transport.prepare(route, params, given, Extras(data=body))
        async with self._turn():
            return await self._cancellable(call, cancel, lambda: self._transport.send(call, cancel))

    async def open(self, route: str, params: Params, given: Mapping[str, object], accept: str) -> AsyncStream:
        """Calls a route that answers with a stream of that type. To be closed."""
        call = self._transport.prepare(route, params, given, Extras(accept))
        cancel = Cancel()
        opened = await self._cancellable(call, cancel, lambda: self._transport.begin(call, cancel))
        return AsyncStream(opened, cancel, call.cancel)

    async def connect(self, route: str, params: Params, given: Mapping[str, object]) -> AsyncWebSocket:
        """Opens a route that is a WebSocket. To be closed."""
        asked = handshake()
        call = self._transport.prepare(route, params, given, asked)
        cancel = Cancel()
        opened = await self._cancellable(call, cancel, lambda: self._transport.begin_socket(call, cancel, asked))
        return AsyncWebSocket(opened, cancel, call.cancel)

    def port_url(self, sandbox_id: str, port: int) -> str:
        """Where a port of a sandbox is found over HTTP."""
        return self._transport.port_url(sandbox_id, port)

    async def sleep(self, secs: float, cancel: Optional[Cancel]) -> None:
        """Waits; `cancel` is seen after that."""
        await asyncio.sleep(secs)
        if cancel is not None:
            cancel.check()

    async def _cancellable(self, call: Call, cancel: Cancel, work: Callable[[], T]) -> T:
        """In a thread; `cancel` is set with the call's own and when the task is cancelled."""
        watched = contextlib.nullcontext() if call.cancel is None else call.cancel.watching(cancel.set)
        with watched:
            try:
                return await in_thread(work)
            except asyncio.CancelledError:
                cancel.set()
                raise

    def _turn(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if self._turns is None or self._turns[0] is not loop:
            self._turns = (loop, asyncio.Semaphore(MAX_CALLS))
        return self._turns[1]
