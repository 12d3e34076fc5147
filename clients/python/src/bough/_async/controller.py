"""Every call of the API's first form as a function of one flat object, as older programs have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional

from ..records import EvalResult, ExecResult, ForkResult, Pong, SandboxInfo, Snapshot, SnapshotInfo
from .client import AsyncBough

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


class AsyncController:
    """The daemon by names of its own: `Controller().branch_sandbox(id, mode="live", wait=False)`.

    What each call does, takes and raises is said at its namesake in `bough.snapshots` and `bough.sandboxes`. `timeout` is in seconds,
    what `give_up_secs` is elsewhere. `bough` is the client behind it.
    """

    def __init__(
        self, base_url: Optional[str] = None, token: Optional[str] = None, timeout: Optional[float] = None
    ) -> None:
        self.bough = AsyncBough(base_url, token, give_up_secs=timeout)

    async def list_snapshots(self, **request: Unpack[PageRequest]) -> list[Snapshot]:
        """`snapshots.list`"""
        return await self.bough.snapshots.list(**request)

    async def get_snapshot(self, tag: str, **options: Unpack[CallOptions]) -> Snapshot:
        """`snapshots.get`"""
        return await self.bough.snapshots.get(tag, **options)

    async def get_snapshot_info(self, tag: str, **options: Unpack[CallOptions]) -> SnapshotInfo:
        """`snapshots.info`"""
        return await self.bough.snapshots.info(tag, **options)

    async def create_snapshot(self, tag: str, **request: Unpack[CreateSnapshotRequest]) -> Snapshot:
        """`snapshots.create`"""
        return await self.bough.snapshots.create(tag, **request)

    async def delete_snapshot(self, tag: str, **request: Unpack[DeleteSnapshotRequest]) -> None:
        """`snapshots.delete`"""
        await self.bough.snapshots.delete(tag, **request)

    async def compact_snapshot(self, tag: str, to: str, **options: Unpack[KeyedOptions]) -> Snapshot:
        """`snapshots.compact`"""
        return await self.bough.snapshots.compact(tag, to, **options)

    async def spawn_sandboxes(
        self, snapshot_tag: str, n: int = 1, **request: Unpack[SpawnRequest]
    ) -> list[SandboxInfo]:
        """`sandboxes.spawn`"""
        return await self.bough.sandboxes.spawn(snapshot_tag, n, **request)

    async def list_sandboxes(self, **request: Unpack[ListRequest]) -> list[SandboxInfo]:
        """`sandboxes.list`"""
        return await self.bough.sandboxes.list(**request)

    async def get_sandbox(self, sandbox_id: str, **options: Unpack[CallOptions]) -> SandboxInfo:
        """`sandboxes.get`"""
        return await self.bough.sandboxes.get(sandbox_id, **options)

    async def kill_sandbox(self, sandbox_id: str, **options: Unpack[CallOptions]) -> None:
        """`sandboxes.delete`"""
        await self.bough.sandboxes.delete(sandbox_id, **options)

    async def exec_command(
        self, sandbox_id: str, args: Sequence[str], timeout_secs: Optional[float] = None, **request: Unpack[ExecRequest]
    ) -> ExecResult:
        """`sandboxes.exec`"""
        return await self.bough.sandboxes.exec(sandbox_id, args, timeout_secs, **request)

    async def eval_code(
        self, sandbox_id: str, code: str, timeout_secs: Optional[float] = None, **options: Unpack[CallOptions]
    ) -> EvalResult:
        """`sandboxes.eval`"""
        return await self.bough.sandboxes.eval(sandbox_id, code, timeout_secs, **options)

    async def ping_sandbox(self, sandbox_id: str, **options: Unpack[CallOptions]) -> Pong:
        """`sandboxes.ping`"""
        return await self.bough.sandboxes.ping(sandbox_id, **options)

    async def set_sandbox_timeout(self, sandbox_id: str, **request: Unpack[TimeoutRequest]) -> SandboxInfo:
        """`sandboxes.set_timeout`"""
        return await self.bough.sandboxes.set_timeout(sandbox_id, **request)

    async def branch_sandbox(
        self, sandbox_id: str, tag: Optional[str] = None, **request: Unpack[BranchRequest]
    ) -> Snapshot:
        """`sandboxes.branch`"""
        return await self.bough.sandboxes.branch(sandbox_id, tag, **request)

    async def fork_sandbox(self, sandbox_id: str, count: int = 1, **request: Unpack[ForkRequest]) -> ForkResult:
        """`sandboxes.fork`"""
        return await self.bough.sandboxes.fork(sandbox_id, count, **request)
