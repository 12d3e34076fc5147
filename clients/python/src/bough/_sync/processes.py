# Made from ../_async by scripts/make_sync.py; do not edit.
"""The kept processes of one sandbox."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, List, Literal, Optional, Union

from .._transport import Transport
from ..records import ProcessInfo, ProcessOutput
from .process import Process
from .streams import process_pieces

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..requests import CallOptions, StartProcessRequest


class Processes:
    """`sandbox.processes`: programs that outlive the connection that started them."""

    def __init__(self, transport: Transport, sandbox_id: str) -> None:
        self._transport = transport
        self._params = {"id": sandbox_id}

    def start(
        self, program: Union[str, Sequence[str]], **request: Unpack[StartProcessRequest]
    ) -> Process:
        """Starts a program: a list of its name and arguments, or a line for `sh -c`.

        Raises `InvalidRequest` (`process_not_started`).
        """
        started = self._transport.call("startProcess", self._params, {**request, **_program_of(program)})
        return self.of(started["pid"])

    def start_attached(
        self,
        program: Union[str, Sequence[str]],
        on_disconnect: Optional[Literal["keep", "kill"]] = None,
        **request: Unpack[StartProcessRequest],
    ) -> Generator[ProcessOutput, None, None]:
        """Starts a program with the stream of its output: `started` comes first. With `kill` it ends with the stream.

        Nothing is started before the first piece is asked for, and a lost connection is not made again.
        """
        given = {**request, **_program_of(program), "on_disconnect": on_disconnect}
        return process_pieces(self._transport, self._params, given)

    def list(self, **options: Unpack[CallOptions]) -> List[ProcessInfo]:
        """All that run, and those that ended not long ago, the latest first."""
        return self._transport.call("listProcesses", self._params, options)

    def of(self, pid: int) -> Process:
        """The process of that id, as an object. Asks nobody whether there is one."""
        return Process(self._transport, self._params["id"], pid)


def _program_of(program: Union[str, Sequence[str]]) -> dict[str, Any]:
    return {"shell": program} if isinstance(program, str) else {"args": list(program)}
