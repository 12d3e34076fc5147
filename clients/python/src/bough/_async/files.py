"""Files and folder trees of one sandbox. A path is text, or bytes for a name that is none."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Optional, Union

from .._async_transport import AsyncTransport
from ..records import FileEntry, WatchNews
from .streams import answer_pieces, folder_entries, watch_news

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .._message import AsyncBytes
    from ..requests import FileRequest

Path = Union[str, bytes]


class AsyncSandboxFiles:
    """`sandbox.files`: what is on a sandbox's disk. Relative paths begin in the working directory of its programs.

    Calls raise `NotFound` (`file_not_found`), `Conflict` (`file_exists`, `not_a_file`, `not_a_folder`) and more, by their codes.
    """

    def __init__(self, transport: AsyncTransport, sandbox_id: str) -> None:
        self._transport = transport
        self._params = {"id": sandbox_id}

    async def read(self, path: Path, **request: Unpack[FileRequest]) -> bytes:
        """A file's bytes, as a whole. For one that may be larger than memory, `stream`."""
        whole = bytearray()
        async for piece in self.stream(path, **request):
            whole += piece
        return bytes(whole)

    async def read_text(self, path: Path, **request: Unpack[FileRequest]) -> str:
        """A file as text; what is not UTF-8 is U+FFFD."""
        return (await self.read(path, **request)).decode("utf-8", "replace")

    def stream(self, path: Path, **request: Unpack[FileRequest]) -> AsyncGenerator[bytes, None]:
        """A file's bytes as they come. Raises `BoughUnreachable` for a file that became shorter meanwhile."""
        return answer_pieces(self._transport, "readFile", self._params, {**request, **_subject(path)})

    async def write(
        self,
        path: Path,
        data: Union[str, AsyncBytes],
        mode: Optional[int] = None,
        parents: bool = False,
        **request: Unpack[FileRequest],
    ) -> None:
        """Writes a file as a whole, from one piece or several: who reads it meanwhile finds the old one.

        An old one keeps its mode and its owner; with `parents` folders above it that are missing are made.
        """
        given = {**request, **_subject(path), "mode": _digits(mode), "parents": parents}
        await self._transport.reply("writeFile", self._params, given, data.encode() if isinstance(data, str) else data)

    async def stat(self, path: Path, follow: bool = False, **request: Unpack[FileRequest]) -> FileEntry:
        """What is at a path: of a link, itself, unless it is to be followed."""
        return await self._transport.call("statFile", self._params, {**request, **_subject(path), "follow": follow})

    def list(self, path: Path, depth: int = 1, **request: Unpack[FileRequest]) -> AsyncGenerator[FileEntry, None]:
        """What is in a folder, in no order, but each folder before what is in it. Links are not followed."""
        return folder_entries(self._transport, self._params, {**request, **_subject(path), "depth": depth})

    def watch(
        self, path: Path, recursive: bool = False, **request: Unpack[FileRequest]
    ) -> AsyncGenerator[WatchNews, None]:
        """What changes there from now on, in a folder with `recursive` also below it, until it is gone: `watching` first.

        A change may come twice. What was not told is said: `missed` where there were too many for who reads, `unwatched` where there
        are too many folders. Raises `BoughUnreachable` for a connection that is lost: what changed meanwhile nobody knows.
        """
        return watch_news(self._transport, self._params, {**request, **_subject(path), "recursive": recursive})

    async def make_folder(
        self, path: Path, mode: Optional[int] = None, parents: bool = False, **request: Unpack[FileRequest]
    ) -> FileEntry:
        """Makes a folder; with `parents` one that is there is as good."""
        given = {**request, **_subject(path), "mode": _digits(mode), "parents": parents}
        return await self._transport.call("makeFolder", self._params, given)

    async def move(
        self,
        path: Path,
        to: Path,
        replace: bool = False,
        parents: bool = False,
        **request: Unpack[FileRequest],
    ) -> FileEntry:
        """Gives a file or a folder another name, on the same file system. With `replace` it takes the place of what is there."""
        given = {**request, **_subject(path), **_subject(to, "to"), "replace": replace, "parents": parents}
        return await self._transport.call("moveFile", self._params, given)

    async def remove(self, path: Path, recursive: bool = False, **request: Unpack[FileRequest]) -> None:
        """Removes a file, an empty folder, or a link, never what a link leads to; with `recursive` a folder and all in it."""
        await self._transport.call("removeFile", self._params, {**request, **_subject(path), "recursive": recursive})

    def pack(self, path: Path, **request: Unpack[FileRequest]) -> AsyncGenerator[bytes, None]:
        """A folder with all that is in it, as the bytes of a tar archive."""
        return answer_pieces(self._transport, "packTree", self._params, {**request, **_subject(path)})

    async def unpack(
        self, path: Path, archive: AsyncBytes, parents: bool = False, **request: Unpack[FileRequest]
    ) -> int:
        """Unpacks a tar archive into a folder; returns how many entries it had. Nothing is put outside of the folder.

        What fails in the middle leaves what was unpacked before.
        """
        given = {**request, **_subject(path), "parents": parents}
        reply = await self._transport.reply("unpackTree", self._params, given, archive)
        return int(reply.headers["bough-entries"])


def _subject(path: Path, name: str = "path") -> dict[str, Any]:
    if isinstance(path, str):
        return {name: path}
    return {f"{name}_base64": base64.b64encode(path).decode()}


def _digits(mode: Optional[int]) -> Optional[str]:
    return None if mode is None else f"{mode:o}"
