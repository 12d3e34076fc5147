"""The client and the API agree: routes, fields, objects, error codes, compared with the generated reference."""

from __future__ import annotations

import contextlib
import inspect
import json
import re
import subprocess
import sys
import unittest
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Callable, Optional, Union, cast

import bough
from bough import records
from bough._codes import CODES
from bough._routes import ROUTES, Route
from bough._transport import Reply

PROJECT_DIR = Path(__file__).parents[3]
REFERENCE_DIR = PROJECT_DIR / "docs" / "reference"
DOCUMENT: dict[str, Any] = json.loads((REFERENCE_DIR / "openapi.json").read_text())
# What `stat` says is more than the headers of a file.
WITHOUT_VERB = {"headFile"}
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    if operation["operationId"] not in WITHOUT_VERB
}
# What older programs know, and `Controller` has under flat names.
FIRST_FORM = {
    *("listSnapshots", "createSnapshot", "getSnapshot", "snapshotInfo", "deleteSnapshot", "compactSnapshot"),
    *("listSandboxes", "spawn", "getSandbox", "removeSandbox", "setTimeout", "exec", "evaluate", "ping", "branch", "fork"),
}
CALL_OPTIONS = {"give_up_secs", "cancel", "idempotency_key"}


class RecordingStream:
    """An answer that ends at once."""

    def read(self) -> bytes:
        return b""

    def close(self) -> None:
        pass


class RecordingTransport:
    """Notes which routes are called, and with what."""

    url = "http://localhost"

    def __init__(self) -> None:
        self.calls: list[tuple[str, Mapping[str, Any], Mapping[str, object]]] = []

    def call(self, route: str, params: Mapping[str, Any], given: Mapping[str, object]) -> Any:
        self.calls.append((route, params, given))
        if route == "spawn":
            return [{"id": "s1"}]
        offsets = {"stdout_to": 0, "stderr_to": 0}
        return {"snapshot": {}, "pause_ms": 0, "children": [], "pid": 7, "keys": [], **offsets}

    def reply(
        self, route: str, params: Mapping[str, Any], given: Mapping[str, object], data: Optional[bytes] = None
    ) -> Reply:
        self.call(route, params, given)
        return Reply([], {"bough-stdin-bytes": str(len(data or b"")), "bough-entries": "0", "bough-tag": "x"})

    def open(self, route: str, params: Mapping[str, Any], given: Mapping[str, object], accept: str) -> RecordingStream:
        self.call(route, params, given)
        return RecordingStream()

    def connect(self, route: str, params: Mapping[str, Any], given: Mapping[str, object]) -> RecordingStream:
        self.call(route, params, given)
        return RecordingStream()

    def port_url(self, sandbox_id: str, port: int) -> str:
        return f"{self.url}/{sandbox_id}/{port}"

    def sleep(self, secs: float, cancel: object) -> None:
        # Nothing more will come.
        raise StopRecording


class StopRecording(Exception):
    """Ends a stream that would be opened again."""


def recorded() -> tuple[bough.Bough, RecordingTransport]:
    client, transport = bough.Bough(), RecordingTransport()
    for holder in (client, client.snapshots, client.sandboxes, client.secrets):
        setattr(holder, "_transport", transport)
    return client, transport


def call_each_verb(holder: object) -> None:
    """Calls every public method, with a made-up argument for each that it needs."""
    made_up: dict[str, object] = {"args": ["true"], "n": 1, "count": 1, "pid": 7, "port": 80, "data": b"x"}
    for name, verb in inspect.getmembers(holder, inspect.ismethod):
        if name.startswith("_") or name in ("close", "sandbox"):
            continue
        needed = [
            each.name
            for each in inspect.signature(verb).parameters.values()
            if each.default is each.empty and each.kind is not each.VAR_KEYWORD
        ]
        with contextlib.suppress(StopRecording, bough.BoughUnreachable):
            found = cast("Callable[..., object]", verb)(*(made_up.get(each, "x") for each in needed))
            if isinstance(found, Generator):
                next(cast("Generator[object, None, None]", found), None)


def holders(client: bough.Bough) -> list[object]:
    """All that has verbs, apart from what has those of another by an id."""
    processes, network = client.sandboxes.processes("x"), client.sandboxes.network("x")
    timeline = client.sandboxes.timeline("x")
    files, ports = client.sandboxes.files("x"), client.sandboxes.ports("x")
    return [
        *(client, client.snapshots, client.sandboxes, client.secrets, processes, processes.of(7)),
        *(network, timeline, files, ports),
    ]


class RoutesTest(unittest.TestCase):
    def test_are_those_of_the_document(self) -> None:
        wanted = {name: (method, path) for name, (method, path, _) in OPERATIONS.items()}
        self.assertEqual({name: (row.method, row.path) for name, row in ROUTES.items()}, wanted)

    def test_take_the_fields_of_the_document(self) -> None:
        for name, row in ROUTES.items():
            with self.subTest(name):
                self.assertEqual(fields_of(row), wanted_fields(OPERATIONS[name][2]))

    def test_take_a_key_where_the_document_has_one(self) -> None:
        for name, row in ROUTES.items():
            with self.subTest(name):
                headers = [each["name"] for each in OPERATIONS[name][2]["parameters"] if each["in"] == "header"]
                self.assertEqual(row.keyed, "Idempotency-Key" in headers)
                self.assertEqual("idempotency_key" in keywords(row.fields), row.keyed)

    def test_are_repeated_without_a_key_only_if_they_change_nothing(self) -> None:
        harmless = {name for name, row in ROUTES.items() if row.harmless}
        reading = {name for name, (method, _, _) in OPERATIONS.items() if method == "GET"}
        self.assertEqual(harmless, reading | {"ping"})

    def test_have_a_verb_each(self) -> None:
        client, transport = recorded()
        for holder in holders(client):
            call_each_verb(holder)
        self.assertEqual({route for route, _, _ in transport.calls}, set(OPERATIONS))

    def test_have_a_flat_name_each(self) -> None:
        client, transport = recorded()
        controller = bough.Controller()
        controller.bough = client
        call_each_verb(controller)
        self.assertEqual({route for route, _, _ in transport.calls}, FIRST_FORM)

    def test_are_reached_by_a_sandbox_as_by_its_id(self) -> None:
        client, transport = recorded()
        call_each_verb(client.sandbox("x"))
        by_object = transport.calls
        client, transport = recorded()
        call_each_verb(client.sandboxes)
        by_id = [call for call in transport.calls if call[1].get("id")]
        self.assertEqual(sorted(by_object, key=str), sorted(by_id, key=str))

    def test_are_given_all_their_fields(self) -> None:
        client, transport = recorded()
        client.sandboxes.branch("s1", "t", mode="live", wait=False, idempotency_key="k")
        client.sandboxes.exec("s1", ("a", "b"), 5, cwd="/")
        client.snapshots.delete("t", cascade=True)
        self.assertEqual(
            transport.calls,
            [
                ("branch", {"id": "s1"}, {"tag": "t", "mode": "live", "wait": False, "idempotency_key": "k"}),
                ("exec", {"id": "s1"}, {"args": ("a", "b"), "timeout_secs": 5, "cwd": "/"}),
                ("deleteSnapshot", {"tag": "t"}, {"cascade": True}),
            ],
        )


class ObjectsTest(unittest.TestCase):
    def test_have_the_fields_of_the_document(self) -> None:
        schemas = DOCUMENT["components"]["schemas"]
        self.agree(records.Snapshot, schemas["Snapshot"])
        self.agree(records.SnapshotInfo, schemas["SnapshotInfo"])
        self.agree(records.SandboxInfo, schemas["Sandbox"])
        self.agree(records.Isolation, schemas["Sandbox"]["properties"]["isolation"])
        for name, record in {
            "exec": records.ExecResult,
            "evaluate": records.EvalResult,
            "fork": records.ForkResult,
            "gc": records.GcResult,
            "healthz": records.Health,
            "version": records.Version,
            "ping": records.Pong,
            "removeSandboxes": records.RemovedSandboxes,
            "sandboxStats": records.SandboxStats,
            "getNetwork": records.NetworkInfo,
            "checkNetwork": records.NetworkVerdict,
            "rollback": records.RolledBack,
            "getCheckpoints": records.Checkpoints,
        }.items():
            self.agree(record, answer_of(name))
        self.agree(records.ProcessInfo, schemas["Process"])
        self.agree(records.FileEntry, schemas["FileEntry"])
        self.agree(records.GuestStats, answer_of("sandboxStats")["properties"]["guest"])
        self.agree(records.Secret, answer_of("setSecret"))
        self.agree(records.NetworkPolicy, answer_of("getNetwork")["properties"]["policy"])
        self.agree(records.TimelinePoint, answer_of("timeline")["items"])
        self.agree(records.Collected, answer_of("gc")["properties"]["removed"]["items"])

    def agree(self, record: Any, schema: Mapping[str, Any]) -> None:
        with self.subTest(record.__name__):
            self.assertEqual(set(record.__annotations__), set(schema["properties"]))
            self.assertEqual(set(record.__required_keys__), set(schema.get("required", [])))


class CodesTest(unittest.TestCase):
    def test_are_those_of_the_reference(self) -> None:
        page = (REFERENCE_DIR / "api.md").read_text()
        rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (yes)? *\| ", page.split("## Error codes")[1], re.MULTILINE)
        wanted = {code: retryable == "yes" for code, retryable in rows}
        self.assertGreater(len(wanted), 30)
        self.assertEqual({code: known.retryable for code, known in CODES.items()}, wanted)

    def test_have_classes_that_are_exported(self) -> None:
        for code, known in CODES.items():
            self.assertIs(getattr(bough, known.raised_as.__name__), known.raised_as, code)


class GuideTest(unittest.TestCase):
    def test_tells_of_every_verb_and_of_no_other(self) -> None:
        page = (PROJECT_DIR / "docs" / "guide" / "python.md").read_text()
        client = bough.Bough()
        sandbox = client.sandbox("x")
        for begin, holders in {
            "`bough.snapshots`": [client.snapshots],
            "`bough.sandboxes`": [client.sandboxes],
            "`sandbox.processes`": [sandbox.processes, sandbox.processes.of(7)],
            "`sandbox.files`": [sandbox.files],
            "`sandbox.ports`": [sandbox.ports, bough.PortConnection],
            "`sandbox.network`": [sandbox.network],
            "`sandbox.timeline`": [sandbox.timeline],
            "`bough.secrets`": [client.secrets],
            "`bough.spawn`": [client, sandbox],
            "`bough` itself": [client],
        }.items():
            with self.subTest(begin):
                [row] = [line for line in page.splitlines() if line.startswith(f"| {begin}")]
                told = set(re.findall(r"`([a-z]\w*)(?:\(\w+\))?`", row[len(begin) :]))
                verbs = {name for holder in holders for name, _ in inspect.getmembers(holder, inspect.isroutine)}
                self.assertEqual(told - verbs, set())
                if client not in holders:
                    self.assertEqual({name for name in verbs if not name.startswith("_")} - told, set())


class SyncTest(unittest.TestCase):
    def test_is_made_from_async(self) -> None:
        script = Path(__file__).parent.parent / "scripts" / "make_sync.py"
        made = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True)
        self.assertEqual(made.returncode, 0, made.stdout)


def keywords(fields: Union[type, None]) -> set[str]:
    return set(fields.__annotations__) if fields else set()


def fields_of(row: Route) -> set[str]:
    return (keywords(row.fields) | set(row.positional)) - CALL_OPTIONS


def wanted_fields(operation: Mapping[str, Any]) -> set[str]:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    query = {each["name"] for each in operation["parameters"] if each["in"] == "query"}
    return set(body.get("properties", {})) | query


def answer_of(name: str) -> Any:
    responses = OPERATIONS[name][2]["responses"]
    success = next(response for status, response in responses.items() if status.startswith("2"))
    return success["content"]["application/json"]["schema"]
