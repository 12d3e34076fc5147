# Made from ../_async by scripts/make_sync.py; do not edit.
"""The timeline of one sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Optional

from .._transport import Transport
from ..records import Checkpoints, RolledBack, Snapshot, TimelinePoint

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..requests import BranchRequest, CallOptions, CheckpointsRequest, RollbackRequest


class SandboxTimeline:
    """`sandbox.timeline`: points to go back to, and going back in place."""

    def __init__(self, transport: Transport, sandbox_id: str) -> None:
        self._transport = transport
        self._params = {"id": sandbox_id}

    def checkpoint(self, tag: Optional[str] = None, **request: Unpack[BranchRequest]) -> Snapshot:
        """Captures the sandbox, which keeps running, as a point that `undo` goes back to."""
        fields = {**request, "tag": tag, "checkpoint": True}
        return self._transport.call("branch", self._params, fields)

    def list(self, **options: Unpack[CallOptions]) -> List[TimelinePoint]:
        """Its checkpoints, oldest first, with what each takes."""
        return self._transport.call("timeline", self._params, options)

    def schedule(self, **options: Unpack[CallOptions]) -> Checkpoints:
        """How often a checkpoint is taken by itself, and which of them stay."""
        return self._transport.call("getCheckpoints", self._params, options)

    def set_schedule(self, every_secs: float, **request: Unpack[CheckpointsRequest]) -> Checkpoints:
        """Has a checkpoint taken at every interval from now on, and thinned out with age."""
        return self._transport.call("setCheckpoints", self._params, {**request, "every_secs": every_secs})

    def remove_schedule(self, **options: Unpack[CallOptions]) -> None:
        """Has none taken by itself any more. Those there are stay as long as they would have."""
        self._transport.call("removeCheckpoints", self._params, options)

    def rollback(self, tag: str, **request: Unpack[RollbackRequest]) -> RolledBack:
        """Takes the sandbox to a snapshot, of whatever sandbox, in place: id, name, URLs, policy and end stay.

        The state of before is kept as a checkpoint unless `keep` is False. On any failure it runs on as it was; calls under way in its
        guest raise `Conflict` (`sandbox_rolled_back`).
        """
        return self._transport.call("rollback", self._params, {**request, "tag": tag})

    def undo(self, **request: Unpack[RollbackRequest]) -> RolledBack:
        """The same to the newest checkpoint. The state of before is one then: undoing the undo goes forward again.

        Raises `Conflict` (`no_checkpoint`) where there is none.
        """
        return self._transport.call("rollback", self._params, request)
