"""The timeline of one sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from .._async_transport import AsyncTransport
from ..records import RolledBack, Snapshot

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..requests import BranchRequest, RollbackRequest


class AsyncSandboxTimeline:
    """`sandbox.timeline`: points to go back to, and going back in place."""

    def __init__(self, transport: AsyncTransport, sandbox_id: str) -> None:
        self._transport = transport
        self._params = {"id": sandbox_id}

    async def checkpoint(self, tag: Optional[str] = None, **request: Unpack[BranchRequest]) -> Snapshot:
        """Captures the sandbox, which keeps running, as a point that `undo` goes back to."""
        fields = {**request, "tag": tag, "checkpoint": True}
        return await self._transport.call("branch", self._params, fields)

    async def rollback(self, tag: str, **request: Unpack[RollbackRequest]) -> RolledBack:
        """Takes the sandbox to a snapshot, of whatever sandbox, in place: id, name, URLs, policy and end stay.

        The state of before is kept as a checkpoint unless `keep` is False. On any failure it runs on as it was; calls under way in its
        guest raise `Conflict` (`sandbox_rolled_back`).
        """
        return await self._transport.call("rollback", self._params, {**request, "tag": tag})

    async def undo(self, **request: Unpack[RollbackRequest]) -> RolledBack:
        """The same to the newest checkpoint. The state of before is one then: undoing the undo goes forward again.

        Raises `Conflict` (`no_checkpoint`) where there is none.
        """
        return await self._transport.call("rollback", self._params, request)
