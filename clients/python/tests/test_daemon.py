"""Every verb against the project's own server, over a host without VMs."""

from __future__ import annotations

import os
import tempfile
import time
import unittest

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
