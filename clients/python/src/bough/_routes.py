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
    """Whether the fields go into the query instead of a body."""
    keyed: bool = False
    """Whether it takes an idempotency key."""
    harmless: bool = False
    """Whether doing it twice is as if it were done once, so that it may be repeated without a key."""


def _file(method: str, path: str, *fields: str, in_query: bool = True, harmless: bool = False) -> Route:
    """The route of a call about what is at a path."""
    positional = ("path", "path_base64", *fields)
    return Route(
        method, f"/v1/sandboxes/{{id}}/{path}", requests.FileRequest, positional, in_query=in_query, harmless=harmless
    )


ROUTES: dict[str, Route] = {
    "healthz": Route("GET", "/healthz", harmless=True),
    "version": Route("GET", "/version", harmless=True),
    "metrics": Route("GET", "/metrics", harmless=True),
    "openapi": Route("GET", "/openapi.json", harmless=True),
    "gc": Route("POST", "/v1/gc", requests.GcRequest),
    "events": Route("GET", "/v1/events", requests.CallOptions, ("from",), in_query=True, harmless=True),
    "listSnapshots": Route("GET", "/v1/snapshots", requests.PageRequest, in_query=True, harmless=True),
    "createSnapshot": Route("POST", "/v1/snapshots", requests.CreateSnapshotRequest, ("tag",), keyed=True),
    "getSnapshot": Route("GET", "/v1/snapshots/{tag}", harmless=True),
    "snapshotInfo": Route("GET", "/v1/snapshots/{tag}/info", harmless=True),
    "deleteSnapshot": Route("DELETE", "/v1/snapshots/{tag}", requests.DeleteSnapshotRequest, in_query=True),
    "exportSnapshot": Route("GET", "/v1/snapshots/{tag}/archive", harmless=True),
    "importSnapshot": Route(
        "POST", "/v1/snapshots/import", requests.CallOptions, ("tag", "allow_unsigned"), in_query=True
    ),
    "compactSnapshot": Route("POST", "/v1/snapshots/{tag}/compact", requests.KeyedOptions, ("to",), keyed=True),
    "listSandboxes": Route("GET", "/v1/sandboxes", requests.ListRequest, in_query=True, harmless=True),
    "spawn": Route("POST", "/v1/sandboxes", requests.SpawnRequest, ("snapshot_tag", "n"), keyed=True),
    "getSandbox": Route("GET", "/v1/sandboxes/{id}", harmless=True),
    "removeSandbox": Route("DELETE", "/v1/sandboxes/{id}"),
    "removeSandboxes": Route("DELETE", "/v1/sandboxes", requests.CallOptions, ("selector",), in_query=True),
    "pauseSandbox": Route("POST", "/v1/sandboxes/{id}/pause"),
    "resumeSandbox": Route("POST", "/v1/sandboxes/{id}/resume"),
    "sandboxStats": Route("GET", "/v1/sandboxes/{id}/stats", harmless=True),
    "sandboxEvents": Route(
        "GET", "/v1/sandboxes/{id}/events", requests.CallOptions, ("from",), in_query=True, harmless=True
    ),
    "exec": Route("POST", "/v1/sandboxes/{id}/exec", requests.ExecRequest, ("args", "timeout_secs")),
    "evaluate": Route("POST", "/v1/sandboxes/{id}/eval", requests.CallOptions, ("code", "timeout_secs")),
    "ping": Route("POST", "/v1/sandboxes/{id}/ping", harmless=True),
    "setTimeout": Route("POST", "/v1/sandboxes/{id}/timeout", requests.TimeoutRequest),
    "branch": Route("POST", "/v1/sandboxes/{id}/branch", requests.BranchRequest, ("tag",), keyed=True),
    "fork": Route("POST", "/v1/sandboxes/{id}/fork", requests.ForkRequest, ("count",), keyed=True),
    "startProcess": Route(
        "POST", "/v1/sandboxes/{id}/processes", requests.StartProcessRequest, ("args", "shell", "on_disconnect")
    ),
    "listProcesses": Route("GET", "/v1/sandboxes/{id}/processes", harmless=True),
    "getProcess": Route("GET", "/v1/sandboxes/{id}/processes/{pid}", harmless=True),
    "processOutput": Route(
        "GET",
        "/v1/sandboxes/{id}/processes/{pid}/output",
        requests.OffsetsRequest,
        ("follow",),
        in_query=True,
        harmless=True,
    ),
    "processInput": Route(
        "POST", "/v1/sandboxes/{id}/processes/{pid}/stdin", requests.CallOptions, ("eof",), in_query=True
    ),
    "signalProcess": Route(
        "POST", "/v1/sandboxes/{id}/processes/{pid}/signal", requests.CallOptions, ("signal",)
    ),
    "resizeProcess": Route(
        "POST", "/v1/sandboxes/{id}/processes/{pid}/resize", requests.CallOptions, ("cols", "rows")
    ),
    "attachProcess": Route(
        "GET",
        "/v1/sandboxes/{id}/processes/{pid}/attach",
        requests.OffsetsRequest,
        in_query=True,
        harmless=True,
    ),
    "timeline": Route("GET", "/v1/sandboxes/{id}/timeline", harmless=True),
    "getCheckpoints": Route("GET", "/v1/sandboxes/{id}/checkpoints", harmless=True),
    "setCheckpoints": Route(
        "POST", "/v1/sandboxes/{id}/checkpoints", requests.CheckpointsRequest, ("every_secs",)
    ),
    "removeCheckpoints": Route("DELETE", "/v1/sandboxes/{id}/checkpoints"),
    "rollback": Route("POST", "/v1/sandboxes/{id}/rollback", requests.RollbackRequest, ("tag",), keyed=True),
    "readFile": _file("GET", "files", harmless=True),
    "writeFile": _file("PUT", "files", "mode", "parents"),
    "removeFile": _file("DELETE", "files", "recursive"),
    "statFile": _file("GET", "files/stat", "follow", harmless=True),
    "listFolder": _file("GET", "files/list", "depth", harmless=True),
    "makeFolder": _file("POST", "files/mkdir", "mode", "parents", in_query=False),
    "moveFile": _file("POST", "files/move", "to", "to_base64", "replace", "parents", in_query=False),
    "watchFiles": _file("GET", "files/watch", "recursive", harmless=True),
    "packTree": _file("GET", "tree", harmless=True),
    "unpackTree": _file("PUT", "tree", "parents"),
    "connectPort": Route("GET", "/v1/sandboxes/{id}/ports/{port}", harmless=True),
    "getNetwork": Route("GET", "/v1/sandboxes/{id}/network", harmless=True),
    "setNetwork": Route(
        "PUT", "/v1/sandboxes/{id}/network", requests.NetworkRequest, ("mode",)
    ),
    "checkNetwork": Route("POST", "/v1/sandboxes/{id}/network/check", requests.CallOptions, ("host", "port")),
    "networkLog": Route(
        "GET", "/v1/sandboxes/{id}/network/log", requests.CallOptions, ("follow",), in_query=True, harmless=True
    ),
    "trustedKeys": Route("GET", "/v1/trusted-keys", harmless=True),
    "listSecrets": Route("GET", "/v1/secrets", harmless=True),
    "setSecret": Route("PUT", "/v1/secrets/{name}", requests.SecretRequest, ("value", "hosts")),
    "removeSecret": Route("DELETE", "/v1/secrets/{name}"),
}
