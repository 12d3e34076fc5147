# Made from ../_async by scripts/make_sync.py; do not edit.
"""Calls about sandboxes, by their ids."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, List, Optional

from .._transport import Transport
from .._sources import EventSource
from ..records import (
    EvalResult,
    Event,
    ExecOutput,
    ExecResult,
    ForkResult,
    Pong,
    RemovedSandboxes,
    SandboxInfo,
    SandboxStats,
    Snapshot,
)
from .files import SandboxFiles
from .network import SandboxNetwork
from .pages import each_of
from .ports import SandboxPorts
from .processes import Processes
from .streams import exec_pieces, reconnected
from .timeline import SandboxTimeline

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..requests import (
        BranchRequest,
        CallOptions,
        ExecRequest,
        ForkRequest,
        ListRequest,
        SpawnRequest,
        StreamOptions,
        TimeoutRequest,
    )


class Sandboxes:
    """`bough.sandboxes`: what runs. `bough.spawn` gives objects instead of ids.

    Every call about one sandbox raises `SandboxNotFound` when it has ended, and calls into its guest `SandboxNotRunning`,
    `AgentError` and `AgentDeadline`.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def spawn(self, snapshot_tag: str, n: int = 1, **request: Unpack[SpawnRequest]) -> List[SandboxInfo]:
        """Starts `n` sandboxes, 1 to 1000: all or none.

        Raises `SnapshotNotFound`, `SnapshotNotUsable`, `SnapshotIncompatible`, `NoRoom`.
        """
        return self._transport.call("spawn", {}, {**request, "snapshot_tag": snapshot_tag, "n": n})

    def list(self, **request: Unpack[ListRequest]) -> List[SandboxInfo]:
        """Every sandbox, or those that a selector over their metadata chooses, or a page of them."""
        return self._transport.call("listSandboxes", {}, request)

    def each(self, **request: Unpack[ListRequest]) -> Generator[SandboxInfo, None, None]:
        """Every sandbox, or those that a selector chooses, oldest first, fetched page by page."""
        return each_of(self._transport, "listSandboxes", request)

    def get(self, id: str, **options: Unpack[CallOptions]) -> SandboxInfo:
        """One sandbox. As everywhere, a name is as good as an id."""
        return self._transport.call("getSandbox", {"id": id}, options)

    def delete(self, id: str, **options: Unpack[CallOptions]) -> None:
        """Ends a sandbox; its process is gone when this returns."""
        self._transport.call("removeSandbox", {"id": id}, options)

    def delete_selected(self, selector: str, **options: Unpack[CallOptions]) -> RemovedSandboxes:
        """Ends all that a selector chooses, each as one that is ended by itself."""
        return self._transport.call("removeSandboxes", {}, {**options, "selector": selector})

    def pause(self, id: str, **options: Unpack[CallOptions]) -> SandboxInfo:
        """Stops its processors; it keeps its memory and can be branched, and takes no calls into its guest."""
        return self._transport.call("pauseSandbox", {"id": id}, options)

    def resume(self, id: str, **options: Unpack[CallOptions]) -> SandboxInfo:
        """Lets it run again, with its clock set."""
        return self._transport.call("resumeSandbox", {"id": id}, options)

    def stats(self, id: str, **options: Unpack[CallOptions]) -> SandboxStats:
        """What it uses of the host now: processor time, memory and disk of its own and shared."""
        return self._transport.call("sandboxStats", {"id": id}, options)

    def events(
        self, id: str, after: Optional[str] = None, **options: Unpack[StreamOptions]
    ) -> Generator[Event, None, None]:
        """What happens to one sandbox, until it has ended; also of one that is gone, as long as its events are kept.

        `after` is the id of the last event that was seen, or `oldest` for all there are; without it, what happens from now on. A lost
        connection is made again from the last event on.
        """
        return reconnected(self._transport, EventSource({"id": id}, {"from": after}), options)

    def processes(self, id: str) -> Processes:
        """Its kept processes."""
        return Processes(self._transport, id)

    def files(self, id: str) -> SandboxFiles:
        """Its files."""
        return SandboxFiles(self._transport, id)

    def ports(self, id: str) -> SandboxPorts:
        """Its ports."""
        return SandboxPorts(self._transport, id)

    def network(self, id: str) -> SandboxNetwork:
        """Its network."""
        return SandboxNetwork(self._transport, id)

    def timeline(self, id: str) -> SandboxTimeline:
        """Its timeline."""
        return SandboxTimeline(self._transport, id)

    def exec(
        self, id: str, args: Sequence[str], timeout_secs: Optional[float] = None, **request: Unpack[ExecRequest]
    ) -> ExecResult:
        """Runs a program in the guest; no shell is involved. A status other than 0 is an answer, not an error.

        `timeout_secs` is the program's own deadline, 30 if it is not given, 3600 at most.
        """
        fields = {**request, "args": args, "timeout_secs": timeout_secs}
        return self._transport.call("exec", {"id": id}, fields)

    def exec_stream(
        self, id: str, args: Sequence[str], timeout_secs: Optional[float] = None, **request: Unpack[ExecRequest]
    ) -> Generator[ExecOutput, None, None]:
        """Runs a program and gives what it prints as it comes, all of it. Who stops reading ends the program.

        Nothing is run before the first piece is asked for.
        """
        return exec_pieces(self._transport, {"id": id}, {**request, "args": args, "timeout_secs": timeout_secs})

    def eval(
        self, id: str, code: str, timeout_secs: Optional[float] = None, **options: Unpack[CallOptions]
    ) -> EvalResult:
        """Evaluates an expression in the image's warm interpreter. A traceback is an answer, not an error.

        `timeout_secs` is the expression's own deadline, 30 if it is not given, 3600 at most.
        """
        fields = {**options, "code": code, "timeout_secs": timeout_secs}
        return self._transport.call("evaluate", {"id": id}, fields)

    def ping(self, id: str, **options: Unpack[CallOptions]) -> Pong:
        """Does the agent in the guest answer?"""
        return self._transport.call("ping", {"id": id}, options)

    def set_timeout(self, id: str, **request: Unpack[TimeoutRequest]) -> SandboxInfo:
        """Sets when and how the sandbox ends; what is not given stays as it is."""
        return self._transport.call("setTimeout", {"id": id}, request)

    def branch(self, id: str, tag: Optional[str] = None, **request: Unpack[BranchRequest]) -> Snapshot:
        """Captures the sandbox, which keeps running, on failure too. The snapshot's `tag` is made up if it is not given.

        Raises `TagExists`, `BranchInProgress`, `ModeUnsupported`, `NoRoom`.
        """
        return self._transport.call("branch", {"id": id}, {**request, "tag": tag})

    def fork(self, id: str, count: int = 1, **request: Unpack[ForkRequest]) -> ForkResult:
        """Branches the sandbox and starts `count` children, 1 to 100; each child is a sandbox or an error."""
        return self._transport.call("fork", {"id": id}, {**request, "count": count})
