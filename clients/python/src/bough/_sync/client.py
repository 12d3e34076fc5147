# Made from ../_async by scripts/make_sync.py; do not edit.
"""The daemon as a whole, and the way to its snapshots and sandboxes."""

from __future__ import annotations

import ssl
from collections.abc import Generator
from typing import TYPE_CHECKING, Optional

from .._transport import Transport
from .._sources import EventSource
from ..records import Event, GcResult, Health, OpenApiDocument, Version
from .sandbox import Sandbox
from .sandboxes import Sandboxes
from .secrets import Secrets
from .snapshots import Snapshots
from .streams import reconnected

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from ..requests import CallOptions, GcRequest, SpawnRequest, StreamOptions


class Bough:
    """A client of one daemon.

    `url` is such as `http://127.0.0.1:8889`; without it BOUGH_URL says it, and without that it is this one. `token` is what the
    daemon wants if it wants one; without it, it is read from `token_file`, BOUGH_TOKEN_FILE or BOUGH_TOKEN. `give_up_secs` is how
    long a call waits for its answer unless it says otherwise; by default for ever, since to boot an image takes as long as it takes.
    `tls` is for an https URL with a certificate of your own.

    Connections are kept between calls and outlive a restart of the daemon. Any number of threads or tasks may share a client.

    Every call raises `BoughApiError` (the daemon refused), `BoughUnreachable` (no answer), `BoughTimeout`, `BoughCancelled`.
    """

    snapshots: Snapshots
    """What sandboxes start from, and what branching them makes."""
    sandboxes: Sandboxes
    """What runs, by ids."""
    secrets: Secrets
    """What is put into requests of sandboxes, and in no sandbox."""

    def __init__(
        self,
        url: Optional[str] = None,
        token: Optional[str] = None,
        *,
        token_file: Optional[str] = None,
        give_up_secs: Optional[float] = None,
        tls: Optional[ssl.SSLContext] = None,
    ) -> None:
        self._transport = Transport(url, token, token_file, give_up_secs, tls)
        self.snapshots = Snapshots(self._transport)
        self.sandboxes = Sandboxes(self._transport)
        self.secrets = Secrets(self._transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def url(self) -> str:
        """The daemon's."""
        return self._transport.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of idle connections. Ends no sandbox, and a later call makes a new connection."""
        self._transport.close()

    def spawn(self, snapshot_tag: str, **request: Unpack[SpawnRequest]) -> Sandbox:
        """Starts one sandbox. Raises `SnapshotNotFound`, `SnapshotNotUsable`, `SnapshotIncompatible`, `NoRoom`."""
        [started] = self.sandboxes.spawn(snapshot_tag, **request)
        return Sandbox(self.sandboxes, started["id"])

    def spawn_many(self, snapshot_tag: str, n: int, **request: Unpack[SpawnRequest]) -> list[Sandbox]:
        """Starts `n` sandboxes, 1 to 1000: all of them or none."""
        started = self.sandboxes.spawn(snapshot_tag, n, **request)
        return [Sandbox(self.sandboxes, each["id"]) for each in started]

    def sandbox(self, id: str) -> Sandbox:
        """The sandbox of that id or name, as an object. Asks nobody whether there is one."""
        return Sandbox(self.sandboxes, id)

    def events(self, after: Optional[str] = None, **options: Unpack[StreamOptions]) -> Generator[Event, None, None]:
        """What happens to sandboxes, without end: from now on, or after the event of that id, or with `oldest` all there are.

        A lost connection is made again from the last event on; what the daemon no longer has is told by a `gap`. Before the first event
        there is nothing to go on from: what happens while that connection is lost is not told.
        """
        return reconnected(self._transport, EventSource({}, {"from": after}), options)

    def healthz(self, **options: Unpack[CallOptions]) -> Health:
        """Does the daemon answer? The one call that needs no token."""
        return self._transport.call("healthz", {}, options)

    def version(self, **options: Unpack[CallOptions]) -> Version:
        """The daemon's version and its API's."""
        return self._transport.call("version", {}, options)

    def metrics(self, **options: Unpack[CallOptions]) -> str:
        """Prometheus text."""
        return self._transport.call("metrics", {}, options)

    def openapi(self, **options: Unpack[CallOptions]) -> OpenApiDocument:
        """The API as an OpenAPI 3.1 document."""
        return self._transport.call("openapi", {}, options)

    def gc(self, **request: Unpack[GcRequest]) -> GcResult:
        """Runs the collector; with `dry_run` it only says what it would remove."""
        return self._transport.call("gc", {}, request)
