"""Every verb against the project's own server, over a host without VMs."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import threading
import time
import unittest
import urllib.request
from collections.abc import AsyncIterator, Iterator
from typing import Callable, cast

import bough
from bough import AsyncBough, Bough, Controller

from .daemon import DaemonTest, FakeDaemon


class VerbsTest(DaemonTest):
    def setUp(self) -> None:
        self.client = Bough(self.daemon.url)

    def test_of_the_daemon(self) -> None:
        self.assertEqual(self.client.healthz(), {"ok": True})
        self.assertEqual(self.client.version()["api"], "v1")
        self.assertIn("# HELP", self.client.metrics())
        self.assertIn("/v1/snapshots", self.client.openapi()["paths"])
        self.assertEqual(self.client.gc(dry_run=True), {"dry_run": True, "removed": [], "kept": [], "freed_bytes": 0})

    def test_of_snapshots(self) -> None:
        snapshots = self.client.snapshots
        self.assertEqual(snapshots.create("made", image="python-numpy", memory_mib=None)["tag"], "made")
        self.assertIn("made", [each["tag"] for each in snapshots.list()])
        self.assertEqual(snapshots.get("made")["status"], "ready")
        self.assertEqual(snapshots.info("made")["chain_depth"], 0)
        self.assertEqual(snapshots.compact("made", "flat", idempotency_key="k1")["tag"], "flat")
        self.assertIsNone(snapshots.delete("made", cascade=True))
        snapshots.delete("flat", force=True)
        with self.assertRaises(bough.SnapshotNotFound):
            snapshots.get("made")

    def test_of_snapshots_that_travel(self) -> None:
        snapshots = self.client.snapshots
        archive = b"".join(snapshots.export("base"))
        self.assertEqual(archive, b"base\n")
        came = snapshots.import_(archive, tag="came", allow_unsigned=True)
        self.assertEqual((came["tag"], came["status"]), ("came", "ready"))
        again = snapshots.import_((bytes([each]) for each in archive), tag="again", allow_unsigned=True)
        self.assertEqual(again["tag"], "again")
        for code, sent, allow_unsigned in (("snapshot_untrusted", archive, False), ("bad_snapshot_archive", b"ba", True)):
            with self.assertRaises(bough.BoughApiError) as refused:
                snapshots.import_(sent, tag="third", allow_unsigned=allow_unsigned)
            self.assertEqual(refused.exception.code, code)
        self.assertEqual(snapshots.trusted_keys(), [])
        with self.assertRaises(bough.SnapshotNotFound):
            next(snapshots.export("nothing"))
        snapshots.delete("came")
        snapshots.delete("again")

    def test_of_sandboxes(self) -> None:
        first, second = self.client.spawn_many("base", 2, metadata={"of": "a pair"})
        self.assertEqual(first.info()["snapshot_tag"], "base")
        self.assertEqual(first.exec(["echo", "é"])["stdout"], "echo é\n")
        self.assertEqual(first.eval("1 + 1")["result"], "1 + 1")
        self.assertTrue(first.ping()["pong"])
        end_at_unix = int(time.time()) + 3600
        self.assertEqual(first.set_timeout(end_at_unix=end_at_unix).get("end_at_unix"), end_at_unix)
        snapshot = first.branch("point", mode="live", wait=False)
        self.assertEqual((snapshot["status"], snapshot.get("branched_from")), ("writing", first.id))
        fork = second.fork(3, tag="between")
        self.assertEqual((len(fork.children), fork.failures, fork.snapshot["tag"]), (3, [], "between"))
        with fork.children[0] as child:
            self.assertEqual(child.info()["snapshot_tag"], "between")
        with self.assertRaises(bough.SandboxNotFound):
            child.info()
        child.kill()
        for sandbox in (first, second, *fork.children):
            sandbox.kill()
        self.assertEqual(self.client.sandboxes.list(), [])

    def test_of_the_controller(self) -> None:
        controller = Controller(self.daemon.url, timeout=10)
        [sandbox] = controller.spawn_sandboxes("base", 1, per_child_netns=True, live_fork=True)
        made = controller.branch_sandbox(sandbox["id"], mode="live", wait=False)
        self.assertEqual(made["status"], "writing")
        self.assertEqual(controller.exec_command(sandbox["id"], ["a"], 5)["exit_code"], 0)
        self.assertEqual(controller.eval_code(sandbox["id"], "x")["result"], "x")
        controller.kill_sandbox(sandbox["id"])
        with self.assertRaises(bough.SandboxNotFound):
            controller.kill_sandbox(sandbox["id"])
        controller.delete_snapshot(made["tag"])

    def test_fail_with_the_daemons_codes(self) -> None:
        with self.assertRaises(bough.NotFound) as caught:
            self.client.spawn("absent")
        error = caught.exception
        self.assertEqual((error.status, error.code, error.details), (404, "snapshot_not_found", {"tag": "absent"}))
        self.assertEqual(str(error), 'No snapshot is named "absent"')
        self.assertRegex(error.request_id or "", "^[0-9a-f]{16}$")
        with self.assertRaises(bough.InvalidRequest) as refused:
            self.client.sandboxes.exec("s1", [])
        self.assertEqual(refused.exception.details["field"], "args")
        with self.assertRaises(bough.TagExists) as exists:
            self.client.snapshots.create("base", image="i")
        self.assertEqual(exists.exception.status, 400)
        with self.assertRaises(bough.ImageNotFound):
            self.client.snapshots.create("new", image="absent")

    def test_a_request_that_is_too_large_is_refused_as_such(self) -> None:
        with self.assertRaises(bough.BoughApiError) as caught:
            self.client.sandboxes.exec("s1", ["cat"], stdin="x" * (3 << 20))
        self.assertEqual(caught.exception.code, "payload_too_large")


class FilesTest(DaemonTest):
    def setUp(self) -> None:
        self.client = Bough(self.daemon.url)
        self.addCleanup(self.client.close)
        self.sandbox = self.client.spawn("base")
        self.addCleanup(self.sandbox.kill)
        self.files = self.sandbox.files

    def test_are_written_and_read_back_of_any_length(self) -> None:
        self.assertIsNone(self.files.write("/note", "grüße", mode=0o600))
        self.assertEqual(self.files.read_text("/note"), "grüße")
        entry = self.files.stat("/note")
        self.assertEqual((entry["type"], entry["size_bytes"], entry["mode"]), ("file", 7, "0600"))
        pieces = [bytes([number]) * 100_000 for number in range(30)]
        self.files.write("/large", iter(pieces))
        self.assertEqual(self.files.read("/large"), b"".join(pieces))
        self.files.write("/empty", b"")
        self.assertEqual(self.files.read("/empty"), b"")

    def test_have_names_that_are_no_text(self) -> None:
        self.files.write(b"/\xff", b"x")
        self.assertEqual(self.files.stat(b"/\xff").get("path_base64"), "L/8=")
        moved = self.files.move(b"/\xff", "/text")
        self.assertEqual(moved.get("path"), "/text")

    def test_are_listed_moved_and_removed(self) -> None:
        self.files.write("/one", b"1")
        self.assertIn("/one", [entry.get("path") for entry in self.files.list("/")])
        with self.assertRaises(bough.Conflict):
            self.files.make_folder("/one")
        self.files.remove("/one")
        with self.assertRaises(bough.NotFound) as caught:
            self.files.read("/one")
        self.assertEqual(caught.exception.code, "file_not_found")
        with self.assertRaises(bough.NotFound):
            list(self.files.list("absent"))

    def test_are_packed_and_unpacked(self) -> None:
        self.assertEqual(self.files.unpack("/tree", [b"some", b" bytes"]), 1)
        self.assertEqual(b"".join(self.files.pack("/tree")), b"some bytes")

    def test_tell_what_changes(self) -> None:
        told = [(news.get("type"), news.get("path")) for news in self.files.watch("/srv", recursive=True)]
        self.assertEqual(told, [("watching", None), ("created", "seen"), ("missed", None)])

    def test_are_refused_before_all_is_sent_where_they_cannot_be_written(self) -> None:
        sent = 0

        def endless() -> Iterator[bytes]:
            nonlocal sent
            while True:
                sent += 1
                yield bytes(1 << 20)

        with self.assertRaises(bough.SandboxNotFound):
            self.client.sandbox("absent").files.write("/x", endless())
        self.assertGreater(sent, 0)


class PortsTest(DaemonTest):
    def setUp(self) -> None:
        self.client = Bough(self.daemon.url)
        self.addCleanup(self.client.close)
        self.sandbox = self.client.spawn("base")
        self.addCleanup(self.sandbox.kill)

    def guest(self, serve: Callable[[socket.socket], None]) -> int:
        """A program that listens in the guest, whose ports are this machine's."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def accept() -> None:
            peer, _ = listener.accept()
            with peer:
                serve(peer)

        threading.Thread(target=accept, daemon=True).start()
        return int(listener.getsockname()[1])

    def test_carry_bytes_both_ways_each_to_its_own_end(self) -> None:
        def serve(peer: socket.socket) -> None:
            heard = b""
            while piece := peer.recv(65536):
                heard += piece
            peer.sendall(b"heard " + heard)

        with self.sandbox.ports.connect(self.guest(serve)) as connection:
            sent = b"all of it " * 100_000
            connection.write(sent)
            connection.end()
            self.assertEqual(b"".join(connection.pieces()), b"heard " + sent)
            self.assertEqual(connection.read(), b"")

    def test_tell_where_nobody_listens(self) -> None:
        with self.sandbox.ports.connect(1) as connection, self.assertRaises(bough.AgentError) as caught:
            connection.read()
        self.assertEqual(caught.exception.code, "port_unreachable")
        with self.assertRaises(ValueError):
            self.sandbox.ports.url(cast("int", "80/../x"))

    def test_are_found_over_http(self) -> None:
        def serve(peer: socket.socket) -> None:
            peer.recv(65536)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

        with urllib.request.urlopen(self.sandbox.ports.url(self.guest(serve), "there")) as answer:
            self.assertEqual(answer.read(), b"hi")


class AsyncVerbsTest(DaemonTest, unittest.IsolatedAsyncioTestCase):
    async def test_are_the_same(self) -> None:
        async with AsyncBough(self.daemon.url) as client:
            async with await client.spawn("base") as sandbox:
                self.assertEqual((await sandbox.eval("1"))["result"], "1")
                fork = await sandbox.fork(2)
                self.assertIsInstance(fork.children[0], bough.AsyncSandbox)
                for child in fork.children:
                    await child.kill()
            with self.assertRaises(bough.SandboxNotFound):
                await sandbox.info()
            sandbox = await client.spawn("base")

            async def pieces() -> AsyncIterator[bytes]:
                for word in (b"one ", b"two"):
                    await asyncio.sleep(0)
                    yield word

            await sandbox.files.write("/words", pieces())
            self.assertEqual(await sandbox.files.read_text("/words"), "one two")
            exported = client.snapshots.export("base")
            self.assertEqual((await client.snapshots.import_(exported, "came", allow_unsigned=True))["tag"], "came")
            await client.snapshots.delete("came")
            self.assertEqual([entry.get("path") async for entry in sandbox.files.list("/")][-1:], ["/words"])
            async with await sandbox.ports.connect(1) as connection:
                with self.assertRaises(bough.AgentError):
                    await connection.read()
            await sandbox.kill()
            controller = bough.AsyncController(self.daemon.url)
            self.assertEqual(await controller.list_sandboxes(), [])
            self.assertIn("base", [each["tag"] for each in await client.snapshots.list()])


class TokenTest(unittest.TestCase):
    def test_is_needed_where_the_daemon_has_one(self) -> None:
        token = "k3jf8s7d6f5g4h3j2k1l0q9w8e7r6t5y"
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(token)
            file.flush()
            os.chmod(file.name, 0o600)
            daemon = FakeDaemon(token_file=file.name)
            self.addCleanup(daemon.stop)
            self.assertEqual(Bough(daemon.url, token_file=file.name).sandboxes.list(), [])
            self.assertEqual(Bough(daemon.url).healthz(), {"ok": True})
            with self.assertRaises(bough.Unauthorized):
                Bough(daemon.url).version()


class RestartTest(unittest.TestCase):
    def test_is_survived_by_a_client_and_its_connections(self) -> None:
        daemon = FakeDaemon()
        client = Bough(daemon.url)
        with client.spawn("base") as sandbox:
            for end in ("stop", "kill"):
                sandbox.ping()
                getattr(daemon, end)()
                daemon = FakeDaemon(daemon.listen)
                # Not repeatable: the connection that was kept must be seen to be dead before it is sent.
                sandbox = client.spawn("base")
        daemon.stop()
        with self.assertRaises(bough.BoughUnreachable):
            client.version()
