"""Where each call goes. Names are those of the API's OpenAPI document; a test compares the two."""

from __future__ import annotations

from typing import NamedTuple, Optional

from . import requests


class Route(NamedTuple):
    """One row of the table."""

    method: str
    path: str
    """`{name}` marks a parameter."""
    fields: Optional[type] = None
    """The TypedDict of what it takes by keyword."""
    positional: tuple[str, ...] = ()
    """Fields it takes besides, by position."""
    in_query: bool = False
    """Whether the fields are flags of the query instead of a body."""
    keyed: bool = False
    """Whether it takes an idempotency key."""
    harmless: bool = False
    """Whether doing it twice is as if it were done once, so that it may be repeated without a key."""


ROUTES: dict[str, Route] = {
    "healthz": Route("GET", "/healthz", harmless=True),
    "version": Route("GET", "/version", harmless=True),
    "metrics": Route("GET", "/metrics", harmless=True),
    "openapi": Route("GET", "/openapi.json", harmless=True),
    "gc": Route("POST", "/v1/gc", requests.GcRequest),
    "listSnapshots": Route("GET", "/v1/snapshots", harmless=True),
    "createSnapshot": Route("POST", "/v1/snapshots", requests.CreateSnapshotRequest, ("tag",), keyed=True),
    "getSnapshot": Route("GET", "/v1/snapshots/{tag}", harmless=True),
    "snapshotInfo": Route("GET", "/v1/snapshots/{tag}/info", harmless=True),
    "deleteSnapshot": Route("DELETE", "/v1/snapshots/{tag}", requests.DeleteSnapshotRequest, in_query=True),
    "compactSnapshot": Route("POST", "/v1/snapshots/{tag}/compact", requests.KeyedOptions, ("to",), keyed=True),
    "listSandboxes": Route("GET", "/v1/sandboxes", harmless=True),
    "spawn": Route("POST", "/v1/sandboxes", requests.SpawnRequest, ("snapshot_tag", "n"), keyed=True),
    "getSandbox": Route("GET", "/v1/sandboxes/{id}", harmless=True),
    "removeSandbox": Route("DELETE", "/v1/sandboxes/{id}"),
    "exec": Route("POST", "/v1/sandboxes/{id}/exec", requests.ExecRequest, ("args", "timeout_secs")),
    "evaluate": Route("POST", "/v1/sandboxes/{id}/eval", requests.CallOptions, ("code", "timeout_secs")),
    "ping": Route("POST", "/v1/sandboxes/{id}/ping", harmless=True),
    "setTimeout": Route("POST", "/v1/sandboxes/{id}/timeout", requests.TimeoutRequest),
    "branch": Route("POST", "/v1/sandboxes/{id}/branch", requests.BranchRequest, ("tag",), keyed=True),
    "fork": Route("POST", "/v1/sandboxes/{id}/fork", requests.ForkRequest, ("count",), keyed=True),
}
