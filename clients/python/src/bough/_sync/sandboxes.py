# Made from ../_async by scripts/make_sync.py; do not edit.
"""Calls about sandboxes, by their ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, List, Optional

from .._transport import Transport
from ..records import EvalResult, ExecResult, ForkResult, Pong, SandboxInfo, Snapshot

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..requests import BranchRequest, CallOptions, ExecRequest, ForkRequest, SpawnRequest, TimeoutRequest


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

    def list(self, **options: Unpack[CallOptions]) -> List[SandboxInfo]:
        """Every sandbox."""
        return self._transport.call("listSandboxes", {}, options)

    def get(self, id: str, **options: Unpack[CallOptions]) -> SandboxInfo:
        """One sandbox."""
        return self._transport.call("getSandbox", {"id": id}, options)

    def delete(self, id: str, **options: Unpack[CallOptions]) -> None:
        """Ends a sandbox; its process is gone when this returns."""
        self._transport.call("removeSandbox", {"id": id}, options)

    def exec(
        self, id: str, args: Sequence[str], timeout_secs: Optional[float] = None, **request: Unpack[ExecRequest]
    ) -> ExecResult:
        """Runs a program in the guest; no shell is involved. A status other than 0 is an answer, not an error.

        `timeout_secs` is the program's own deadline, 30 if it is not given, 3600 at most.
        """
        fields = {**request, "args": args, "timeout_secs": timeout_secs}
        return self._transport.call("exec", {"id": id}, fields)

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
