# Made from ../_async by scripts/make_sync.py; do not edit.
"""The network of one sandbox."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Optional

from .._transport import Transport
from ..records import NetworkInfo, NetworkLogLine, NetworkMode, NetworkVerdict
from .streams import log_lines

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..requests import CallOptions, NetworkRequest


class SandboxNetwork:
    """`sandbox.network`: what a sandbox may reach, and what came of it."""

    def __init__(self, transport: Transport, sandbox_id: str) -> None:
        self._transport = transport
        self._params = {"id": sandbox_id}

    def get(self, **options: Unpack[CallOptions]) -> NetworkInfo:
        """The policy, and counts of what came of it."""
        return self._transport.call("getNetwork", self._params, options)

    def set(self, mode: Optional[NetworkMode] = None, **policy: Unpack[NetworkRequest]) -> NetworkInfo:
        """Replaces the policy as a whole; without a mode it is `off`. It is in force when this returns.

        Open connections that it refuses are cut. Raises `Conflict` (`network_fixed`) where the sandbox was started without a network.
        """
        return self._transport.call("setNetwork", self._params, {**policy, "mode": mode})

    def check(self, host: str, port: int, **options: Unpack[CallOptions]) -> NetworkVerdict:
        """What the policy says of a name or an address. Nothing is resolved or connected to."""
        return self._transport.call("checkNetwork", self._params, {**options, "host": host, "port": port})

    def log(self, follow: bool = False, **options: Unpack[CallOptions]) -> Generator[NetworkLogLine, None, None]:
        """What became of its connections, and which names it was refused, oldest first; with `follow`, and from now on.

        A connection that is lost is not made again.
        """
        return log_lines(self._transport, self._params, {**options, "follow": follow})
