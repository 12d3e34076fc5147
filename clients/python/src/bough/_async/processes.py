"""The kept processes of one sandbox."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any, List, Literal, Optional, Union

from .._async_transport import AsyncTransport
from ..records import ProcessInfo, ProcessOutput
from .process import AsyncProcess
from .streams import process_pieces

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..requests import CallOptions, StartProcessRequest


class AsyncProcesses:
    """`sandbox.processes`: programs that outlive the connection that started them."""

    def __init__(self, transport: AsyncTransport, sandbox_id: str) -> None:
        self._transport = transport
        self._params = {"id": sandbox_id}

    async def start(
        self, program: Union[str, Sequence[str]], **request: Unpack[StartProcessRequest]
    ) -> AsyncProcess:
        """Starts a program: a list of its name and arguments, or a line for `sh -c`.

        Raises `InvalidRequest` (`process_not_started`).
        """
        started = await self._transport.call("startProcess", self._params, {**request, **_program_of(program)})
        return self.of(started["pid"])

    def start_attached(
        self,
        program: Union[str, Sequence[str]],
        on_disconnect: Optional[Literal["keep", "kill"]] = None,
        **request: Unpack[StartProcessRequest],
    ) -> AsyncGenerator[ProcessOutput, None]:
        """Starts a program with the stream of its output: `started` comes first. With `kill` it ends with the stream.

        Nothing is started before the first piece is asked for, and a lost connection is not made again.
        """
        given = {**request, **_program_of(program), "on_disconnect": on_disconnect}
        return process_pieces(self._transport, self._params, given)

    async def list(self, **options: Unpack[CallOptions]) -> List[ProcessInfo]:
        """All that run, and those that ended not long ago, the latest first."""
        return await self._transport.call("listProcesses", self._params, options)

    def of(self, pid: int) -> AsyncProcess:
        """The process of that id, as an object. Asks nobody whether there is one."""
        return AsyncProcess(self._transport, self._params["id"], pid)


def _program_of(program: Union[str, Sequence[str]]) -> dict[str, Any]:
    return {"shell": program} if isinstance(program, str) else {"args": list(program)}
