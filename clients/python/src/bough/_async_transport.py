"""Calls routes from asyncio: the transport, each call in a thread of its own.

Why threads: the standard library has no HTTP client for asyncio, and a second one beside the first would be a second place for
every fault of reading HTTP. A call lasts milliseconds at least, a thread is made in some 50 microseconds, and it only waits. Why
not the loop's own executor: it has a handful of threads on a small machine, so that a few long `exec` would hold up everything
else, and the interpreter waits for them when it ends, for as long as such a call takes.

A task that is cancelled shuts its connection down, which wakes the thread and tells the daemon. No more than `MAX_CALLS` run at
once for one client and loop; others wait their turn without a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Mapping
from typing import Any, Callable, Optional

from ._transport import Transport
from .cancel import Cancel

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

    async def call(self, route: str, params: Mapping[str, str], given: Mapping[str, object]) -> Any:
        """Calls a route by its name in the API's OpenAPI document; returns its answer's body, None if it has none."""
        call = self._transport.prepare(route, params, given)
        cancel = Cancel()
        watched = contextlib.nullcontext() if call.cancel is None else call.cancel.watching(cancel.set)
        with watched:
            async with self._turn():
                try:
                    return await _in_thread(lambda: self._transport.send(call, cancel))
                except asyncio.CancelledError:
                    cancel.set()
                    raise

    def _turn(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if self._turns is None or self._turns[0] is not loop:
            self._turns = (loop, asyncio.Semaphore(MAX_CALLS))
        return self._turns[1]


async def _in_thread(work: Callable[[], Any]) -> Any:
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
