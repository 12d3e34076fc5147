"""Calls about snapshots."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, List, Optional

from .._async_transport import AsyncTransport
from ..records import Snapshot, SnapshotInfo
from .pages import each_of
from .streams import answer_pieces

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .._message import AsyncBytes
    from ..requests import CallOptions, CreateSnapshotRequest, DeleteSnapshotRequest, KeyedOptions, PageRequest


class AsyncSnapshots:
    """`bough.snapshots`: what sandboxes start from, and what branching them makes."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self, **request: Unpack[PageRequest]) -> List[Snapshot]:
        """Every snapshot, each tag once, or a page of them; one that is being written is listed as `writing`."""
        return await self._transport.call("listSnapshots", {}, request)

    def each(self, **request: Unpack[PageRequest]) -> AsyncGenerator[Snapshot, None]:
        """Every snapshot, oldest first, fetched page by page."""
        return each_of(self._transport, "listSnapshots", request)

    async def get(self, tag: str, **options: Unpack[CallOptions]) -> Snapshot:
        """One snapshot. Raises `SnapshotNotFound`."""
        return await self._transport.call("getSnapshot", {"tag": tag}, options)

    async def info(self, tag: str, **options: Unpack[CallOptions]) -> SnapshotInfo:
        """One snapshot with its sizes, in bytes, and its lineage. Raises `SnapshotNotFound`."""
        return await self._transport.call("snapshotInfo", {"tag": tag}, options)

    async def create(self, tag: str, **request: Unpack[CreateSnapshotRequest]) -> Snapshot:
        """Boots and captures: `create("base", image="python-numpy")`. Takes a minute without hardware acceleration.

        Raises `TagExists`, `ImageNotFound`, `NoRoom`, and `BoughApiError` (`boot_failed`, `service_ended`, `service_not_ready`).
        """
        return await self._transport.call("createSnapshot", {}, {**request, "tag": tag})

    async def delete(self, tag: str, **request: Unpack[DeleteSnapshotRequest]) -> None:
        """Deletes one. Raises `SnapshotInUse`, unless `cascade` or `force` says what to do then, and `SnapshotNotFound`."""
        await self._transport.call("deleteSnapshot", {"tag": tag}, request)

    async def compact(self, tag: str, to: str, **options: Unpack[KeyedOptions]) -> Snapshot:
        """Folds the snapshot and its ancestors into a new one named `to`. Raises `TagExists`, `NoRoom`."""
        return await self._transport.call("compactSnapshot", {"tag": tag}, {**options, "to": to})

    def export(self, tag: str, **options: Unpack[CallOptions]) -> AsyncGenerator[bytes, None]:
        """The snapshot as one file, as it comes, for `import_` on another host. It holds everything that the guest's memory held.

        Raises `SnapshotNotFound`, and `BoughUnreachable` where it breaks off: then the file is not whole.
        """
        return answer_pieces(self._transport, "exportSnapshot", {"tag": tag}, options)

    async def import_(
        self,
        archive: AsyncBytes,
        tag: Optional[str] = None,
        allow_unsigned: bool = False,
        **options: Unpack[CallOptions],
    ) -> Snapshot:
        """Takes in what `export` gave, here or on another host, as `tag`, or as it was called there.

        It is checked, started once and captured with a secret of its own. With `allow_unsigned` also what nobody whom the daemon
        trusts has signed. Raises `TagExists`, `NoRoom`, and `BoughApiError` (`bad_snapshot_archive`, `snapshot_untrusted`,
        `snapshot_incompatible`).
        """
        given = {**options, "tag": tag, "allow_unsigned": allow_unsigned}
        reply = await self._transport.reply("importSnapshot", {}, given, archive)
        return await self.get(reply.headers["bough-tag"], **options)

    async def trusted_keys(self, **options: Unpack[CallOptions]) -> List[str]:
        """Public keys, in PEM, whose snapshots `import_` takes in without `allow_unsigned`."""
        answer = await self._transport.call("trustedKeys", {}, options)
        return answer["keys"]
