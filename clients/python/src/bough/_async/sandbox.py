"""A sandbox as an object."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Optional

from ..errors import SandboxNotFound
from ..records import (
    EvalResult,
    Event,
    ExecOutput,
    ExecResult,
    ForkFailure,
    Pong,
    SandboxInfo,
    SandboxStats,
    Snapshot,
)
from .sandboxes import AsyncSandboxes

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from ..requests import BranchRequest, CallOptions, ExecRequest, ForkRequest, StreamOptions, TimeoutRequest


class AsyncSandbox:
    """One sandbox: `bough.spawn("base")` starts it, `bough.sandbox(id)` finds it again. Ends with the `with` block.

    It is nothing but an id and a way to the daemon: letting go of it ends nothing.
    """

    def __init__(self, sandboxes: AsyncSandboxes, id: str) -> None:
        self._sandboxes = sandboxes
        self.id = id
        self.processes = sandboxes.processes(id)
        """Its kept processes."""
        self.files = sandboxes.files(id)
        """Its files."""
        self.ports = sandboxes.ports(id)
        """Its ports."""
        self.network = sandboxes.network(id)
        """Its network."""
        self.timeline = sandboxes.timeline(id)
        """Points to go back to, and going back."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self.kill()

    async def info(self, **options: Unpack[CallOptions]) -> SandboxInfo:
        """What the daemon says of it now."""
        return await self._sandboxes.get(self.id, **options)

    async def exec(
        self, args: Sequence[str], timeout_secs: Optional[float] = None, **request: Unpack[ExecRequest]
    ) -> ExecResult:
        """Runs a program in the guest: `exec(["sh", "-c", "echo hello"])`. A status other than 0 is an answer, not an error."""
        return await self._sandboxes.exec(self.id, args, timeout_secs, **request)

    def exec_stream(
        self, args: Sequence[str], timeout_secs: Optional[float] = None, **request: Unpack[ExecRequest]
    ) -> AsyncGenerator[ExecOutput, None]:
        """Runs a program and gives what it prints as it comes, all of it. Who stops reading ends the program."""
        return self._sandboxes.exec_stream(self.id, args, timeout_secs, **request)

    async def eval(
        self, code: str, timeout_secs: Optional[float] = None, **options: Unpack[CallOptions]
    ) -> EvalResult:
        """Evaluates an expression in the image's warm interpreter. A traceback is an answer, not an error."""
        return await self._sandboxes.eval(self.id, code, timeout_secs, **options)

    async def ping(self, **options: Unpack[CallOptions]) -> Pong:
        """Does its agent answer?"""
        return await self._sandboxes.ping(self.id, **options)

    async def set_timeout(self, **request: Unpack[TimeoutRequest]) -> SandboxInfo:
        """Sets when and how it ends; what is not given stays as it is."""
        return await self._sandboxes.set_timeout(self.id, **request)

    async def pause(self, **options: Unpack[CallOptions]) -> SandboxInfo:
        """Stops its processors; it keeps its memory and can be branched, and takes no calls into its guest."""
        return await self._sandboxes.pause(self.id, **options)

    async def resume(self, **options: Unpack[CallOptions]) -> SandboxInfo:
        """Lets it run again, with its clock set."""
        return await self._sandboxes.resume(self.id, **options)

    async def stats(self, **options: Unpack[CallOptions]) -> SandboxStats:
        """What it uses of the host now."""
        return await self._sandboxes.stats(self.id, **options)

    def events(self, after: Optional[str] = None, **options: Unpack[StreamOptions]) -> AsyncGenerator[Event, None]:
        """What happens to it, until it has ended. A lost connection is made again from the last event on."""
        return self._sandboxes.events(self.id, after, **options)

    async def branch(self, tag: Optional[str] = None, **request: Unpack[BranchRequest]) -> Snapshot:
        """Captures it while it runs; it runs on, on failure too. `bough.spawn(snapshot["tag"])` starts from there."""
        return await self._sandboxes.branch(self.id, tag, **request)

    async def fork(self, count: int = 1, **request: Unpack[ForkRequest]) -> AsyncFork:
        """Branches it and starts `count` children. A child that fails does not fail the call: see `failures`."""
        result = await self._sandboxes.fork(self.id, count, **request)
        children: list[AsyncSandbox] = []
        failures: list[ForkFailure] = []
        for child in result["children"]:
            if "sandbox" in child:
                children.append(AsyncSandbox(self._sandboxes, child["sandbox"]["id"]))
            else:
                failures.append(child)
        return AsyncFork(result["snapshot"], result["pause_ms"], children, failures)

    async def kill(self, **options: Unpack[CallOptions]) -> None:
        """Ends it; its process is gone when this returns. One that has ended already is fine."""
        try:
            await self._sandboxes.delete(self.id, **options)
        except SandboxNotFound:
            pass


class AsyncFork(NamedTuple):
    """What a fork made. Nothing ends by itself: neither the children nor the snapshot."""

    snapshot: Snapshot
    """The instant they all start from."""
    pause_ms: float
    """How long the source stood still."""
    children: list[AsyncSandbox]
    """Those that run."""
    failures: list[ForkFailure]
    """Why each of the others does not."""
