# Made from ../_async by scripts/make_sync.py; do not edit.
"""A kept process as an object: a sandbox, a pid, and a way to the daemon. Letting go of it ends nothing."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Union

from .._transport import Transport
from .._sources import OutputSource
from ..records import ProcessInfo, ProcessOutput
from .attachment import Attachment
from .streams import reconnected

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..requests import CallOptions, FollowRequest, OffsetsRequest, StreamOptions

_RANGE = ("stdout_from", "stderr_from", "follow")


class Process:
    """One process that outlives the connection that started it: `sandbox.processes.start` starts it, `.of(pid)` finds it again.

    Calls raise `ProcessNotFound` when it was forgotten, and what calls about its sandbox raise.
    """

    def __init__(self, transport: Transport, sandbox_id: str, pid: int) -> None:
        self._transport = transport
        self._params = {"id": sandbox_id, "pid": pid}
        self.pid = pid

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._params['id']!r}, {self.pid})"

    def info(self, **options: Unpack[CallOptions]) -> ProcessInfo:
        """Whether it runs or how it ended, and which of its output is kept."""
        return self._transport.call("getProcess", self._params, options)

    def output(self, **request: Unpack[FollowRequest]) -> Generator[ProcessOutput, None, None]:
        """What it printed and prints, with every byte once: a connection that is lost is made again from where it was.

        Bytes that are no longer kept are told by a `gap`. Who reads slowly makes the program wait.
        """
        follow = request.get("follow")
        starts = {"stdout": request.get("stdout_from") or 0, "stderr": request.get("stderr_from") or 0}
        source = OutputSource(self._params, starts, True if follow is None else follow)
        return reconnected(self._transport, source, _without(request, _RANGE))

    def wait(self, **options: Unpack[StreamOptions]) -> ProcessInfo:
        """Waits for its end."""
        calling: CallOptions = _without(options, ("reconnect_secs",))
        known = self.info(**calling)
        for piece in self.output(stdout_from=known["stdout_to"], stderr_from=known["stderr_to"], **options):
            if piece["type"] == "end":
                return piece["process"]
        return self.info(**calling)

    def write(self, data: Union[str, bytes], eof: bool = False, **options: Unpack[CallOptions]) -> int:
        """Writes to its standard input, as fast as it reads; with `eof` that ends after it.

        Returns how many bytes it has had in all. Raises `Conflict` (`stdin_closed`).
        """
        typed = data.encode() if isinstance(data, str) else data
        reply = self._transport.reply("processInput", self._params, {**options, "eof": eof}, typed)
        return int(reply.headers["bough-stdin-bytes"])

    def signal(self, signal: Union[str, int], **options: Unpack[CallOptions]) -> None:
        """Sends it a signal, by name or number. Raises `Conflict` (`process_ended`)."""
        self._transport.call("signalProcess", self._params, {**options, "signal": signal})

    def kill(self, **options: Unpack[CallOptions]) -> None:
        """Ends it and all that it started, with SIGKILL."""
        self.signal("SIGKILL", **options)

    def resize(self, cols: int, rows: int, **options: Unpack[CallOptions]) -> None:
        """Tells its terminal a new size. Raises `Conflict` (`no_terminal`)."""
        self._transport.call("resizeProcess", self._params, {**options, "cols": cols, "rows": rows})

    def attach(self, **request: Unpack[OffsetsRequest]) -> Attachment:
        """Connects to it both ways, over a WebSocket."""
        calling: CallOptions = _without(request, _RANGE)
        # A connection that is there already does not tell before it is read that nobody is at its end.
        self.info(**calling)
        return Attachment(self._transport.connect("attachProcess", self._params, request))


def _without(given: Mapping[str, Any], names: Sequence[str]) -> Any:
    return {name: value for name, value in given.items() if name not in names}
