# Made from ../_async by scripts/make_sync.py; do not edit.
"""Every call of the API's first form as a function of one flat object, as older programs have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional

from ..records import EvalResult, ExecResult, ForkResult, Pong, SandboxInfo, Snapshot, SnapshotInfo
from .client import Bough

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..requests import (
        BranchRequest,
        CallOptions,
        CreateSnapshotRequest,
        DeleteSnapshotRequest,
        ExecRequest,
        ForkRequest,
        KeyedOptions,
        ListRequest,
        PageRequest,
        SpawnRequest,
        TimeoutRequest,
    )


class Controller:
    """The daemon by names of its own: `Controller().branch_sandbox(id, mode="live", wait=False)`.

    What each call does, takes and raises is said at its namesake in `bough.snapshots` and `bough.sandboxes`. `timeout` is in seconds,
    what `give_up_secs` is elsewhere. `bough` is the client behind it.
    """

    def __init__(
        self, base_url: Optional[str] = None, token: Optional[str] = None, timeout: Optional[float] = None
    ) -> None:
        self.bough = Bough(base_url, token, give_up_secs=timeout)

    def list_snapshots(self, **request: Unpack[PageRequest]) -> list[Snapshot]:
        """`snapshots.list`"""
        return self.bough.snapshots.list(**request)

    def get_snapshot(self, tag: str, **options: Unpack[CallOptions]) -> Snapshot:
        """`snapshots.get`"""
        return self.bough.snapshots.get(tag, **options)

    def get_snapshot_info(self, tag: str, **options: Unpack[CallOptions]) -> SnapshotInfo:
        """`snapshots.info`"""
        return self.bough.snapshots.info(tag, **options)

    def create_snapshot(self, tag: str, **request: Unpack[CreateSnapshotRequest]) -> Snapshot:
        """`snapshots.create`"""
        return self.bough.snapshots.create(tag, **request)

    def delete_snapshot(self, tag: str, **request: Unpack[DeleteSnapshotRequest]) -> None:
        """`snapshots.delete`"""
        self.bough.snapshots.delete(tag, **request)

    def compact_snapshot(self, tag: str, to: str, **options: Unpack[KeyedOptions]) -> Snapshot:
        """`snapshots.compact`"""
        return self.bough.snapshots.compact(tag, to, **options)

    def spawn_sandboxes(
        self, snapshot_tag: str, n: int = 1, **request: Unpack[SpawnRequest]
    ) -> list[SandboxInfo]:
        """`sandboxes.spawn`"""
        return self.bough.sandboxes.spawn(snapshot_tag, n, **request)

    def list_sandboxes(self, **request: Unpack[ListRequest]) -> list[SandboxInfo]:
        """`sandboxes.list`"""
        return self.bough.sandboxes.list(**request)

    def get_sandbox(self, sandbox_id: str, **options: Unpack[CallOptions]) -> SandboxInfo:
        """`sandboxes.get`"""
        return self.bough.sandboxes.get(sandbox_id, **options)

    def kill_sandbox(self, sandbox_id: str, **options: Unpack[CallOptions]) -> None:
        """`sandboxes.delete`"""
        self.bough.sandboxes.delete(sandbox_id, **options)

    def exec_command(
        self, sandbox_id: str, args: Sequence[str], timeout_secs: Optional[float] = None, **request: Unpack[ExecRequest]
    ) -> ExecResult:
        """`sandboxes.exec`"""
        return self.bough.sandboxes.exec(sandbox_id, args, timeout_secs, **request)

    def eval_code(
        self, sandbox_id: str, code: str, timeout_secs: Optional[float] = None, **options: Unpack[CallOptions]
    ) -> EvalResult:
        """`sandboxes.eval`"""
        return self.bough.sandboxes.eval(sandbox_id, code, timeout_secs, **options)

    def ping_sandbox(self, sandbox_id: str, **options: Unpack[CallOptions]) -> Pong:
        """`sandboxes.ping`"""
        return self.bough.sandboxes.ping(sandbox_id, **options)

    def set_sandbox_timeout(self, sandbox_id: str, **request: Unpack[TimeoutRequest]) -> SandboxInfo:
        """`sandboxes.set_timeout`"""
        return self.bough.sandboxes.set_timeout(sandbox_id, **request)

    def branch_sandbox(
        self, sandbox_id: str, tag: Optional[str] = None, **request: Unpack[BranchRequest]
    ) -> Snapshot:
        """`sandboxes.branch`"""
        return self.bough.sandboxes.branch(sandbox_id, tag, **request)

    def fork_sandbox(self, sandbox_id: str, count: int = 1, **request: Unpack[ForkRequest]) -> ForkResult:
        """`sandboxes.fork`"""
        return self.bough.sandboxes.fork(sandbox_id, count, **request)
