"""Streams: taken up again, left, refused, cancelled; and terminals. Against the project's server over a host without VMs, or a script."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
import time
import unittest
from typing import Any, Callable, Optional, cast

import bough
from bough import AsyncBough, Bough
from bough._frames import END, EVENT, PTY, STDERR, STDOUT, FrameDecoder, encode_frame

from .daemon import DaemonTest, FakeDaemon

ENDED = {"pid": 7, "running": False, "exit_code": 0}


def frame(kind: int, value: object) -> bytes:
    return encode_frame(kind, value.encode() if isinstance(value, str) else json.dumps(value).encode())


class Scripted:
    """Answers calls in turn with bytes as chunks; None stands for a connection that is cut there. Notes what was asked for."""

    def __init__(self, *answers: list[Optional[bytes]]) -> None:
        self.asked: list[str] = []
        script, asked = list(answers), self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                asked.append(self.path.replace("/v1/sandboxes/s1/", ""))
                self.send_response(200)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for piece in script.pop(0):
                    if piece is None:
                        self.close_connection = True
                        return
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class ScriptedTest(unittest.TestCase):
    def scripted(self, *answers: list[Optional[bytes]]) -> tuple[Bough, list[str]]:
        server = Scripted(*answers)
        self.addCleanup(server.close)
        return Bough(server.url), server.asked

    def test_output_comes_with_every_byte_once_over_connections_that_are_lost(self) -> None:
        whole = frame(STDOUT, "grüße")
        for cut_at in range(1, len(whole), 3):
            client, asked = self.scripted(
                [frame(STDOUT, "ab"), whole[:cut_at], None],
                [frame(EVENT, {"gap": {"stream": "stdout", "bytes": 3}}), whole, None],
                [frame(STDERR, "!"), frame(END, ENDED)],
            )
            pieces = list(client.sandbox("s1").processes.of(7).output(stdout_from=10))
            told = [cast("dict[str, Any]", piece).get("text", piece["type"]) for piece in pieces]
            self.assertEqual(told, ["ab", "gap", "grüße", "!", "end"])
            self.assertEqual([each.split("stdout_from=")[1].split("&")[0] for each in asked], ["10", "12", "22"])

    def test_output_is_text_where_a_character_comes_in_two_pieces(self) -> None:
        first, second = encode_frame(PTY, "é".encode()[:1]), encode_frame(PTY, "é".encode()[1:])
        client, _ = self.scripted([first, second, frame(END, ENDED)])
        pieces = list(client.sandbox("s1").processes.of(7).output())
        self.assertEqual([cast("dict[str, Any]", piece).get("text") for piece in pieces], ["", "é", None])

    def test_a_failure_is_told_in_a_stream(self) -> None:
        client, _ = self.scripted([frame(END, {"error": {"code": "agent_unreachable", "message": "gone"}})])
        with self.assertRaises(bough.AgentError) as caught:
            list(client.sandbox("s1").processes.of(7).output())
        self.assertEqual((caught.exception.code, caught.exception.retryable), ("agent_unreachable", True))

    def test_events_go_on_after_the_last_one(self) -> None:
        def line(event: str, id: str) -> bytes:
            return json.dumps({"event": event, "id": id}).encode() + b"\n"

        client, asked = self.scripted(
            [b"\n", line("created", "a-1"), line("running", "a-2")[:9], None],
            [b"\n"],
            [line("gap", "b-7"), line("ended", "b-8")],
        )
        told = [each["event"] for each in client.sandbox("s1").events()]
        self.assertEqual(told, ["created", "gap", "ended"])
        self.assertEqual(asked, ["events", "events?from=a-1", "events?from=a-1"])

    def test_events_of_a_sandbox_that_is_gone_end(self) -> None:
        client, _ = self.scripted([b"\n"], [b"\n"])
        self.assertEqual(list(client.sandbox("s1").events("a-9")), [])

    def test_a_stream_is_not_asked_for_again_where_nobody_was_nor_longer_than_it_should_be(self) -> None:
        started_secs = time.monotonic()
        with self.assertRaises(bough.BoughUnreachable):
            list(Bough("http://127.0.0.1:1").events())
        client, asked = self.scripted([None])
        with self.assertRaises(bough.BoughUnreachable):
            list(client.events(reconnect_secs=0))
        self.assertEqual(len(asked), 1)
        self.assertLess(time.monotonic() - started_secs, 10)


class FrameDecoderTest(unittest.TestCase):
    def test_finds_the_same_frames_however_their_bytes_come(self) -> None:
        data = frame(STDOUT, "") + frame(STDERR, "abc") + frame(END, {})
        for size in range(1, len(data) + 1):
            decoder = FrameDecoder()
            pieces = (data[at : at + size] for at in range(0, len(data), size))
            found = [tuple(each) for piece in pieces for each in decoder.push(piece)]
            self.assertEqual(found, [(STDOUT, b""), (STDERR, b"abc"), (END, b"{}")])


class StreamsTest(DaemonTest):
    def setUp(self) -> None:
        self.client = Bough(self.daemon.url)
        self.addCleanup(self.client.close)

    def left_count(self) -> int:
        return int(self.client.sandboxes.exec("s1", ["left"])["stdout"])

    def until(self, holds: Callable[[], bool]) -> None:
        deadline_secs = time.monotonic() + 20
        while not holds():
            self.assertLess(time.monotonic(), deadline_secs)
            time.sleep(0.02)

    def test_an_exec_prints_as_it_goes_and_ends_when_it_is_left(self) -> None:
        pieces = list(self.client.sandboxes.exec_stream("s1", ["echo", "é"]))
        self.assertEqual([piece["type"] for piece in pieces], ["stdout", "end"])
        before = self.left_count()
        for piece in self.client.sandboxes.exec_stream("s1", ["wait"]):
            self.assertEqual(piece["type"], "stdout")
            break
        self.until(lambda: self.left_count() == before + 1)

    def test_silence_and_cancelling_end_a_stream(self) -> None:
        before = self.left_count()
        with self.assertRaises(bough.BoughTimeout):
            list(self.client.sandboxes.exec_stream("s1", ["wait"], give_up_secs=0.2))
        stop = bough.Cancel()
        threading.Timer(0.2, stop.set).start()
        with self.assertRaises(bough.BoughCancelled):
            list(self.client.sandboxes.exec_stream("s1", ["wait"], cancel=stop))
        with self.assertRaises(bough.BoughCancelled):
            list(self.client.events(cancel=stop))
        self.until(lambda: self.left_count() == before + 2)

    def test_processes_outlive_their_calls(self) -> None:
        with self.client.spawn("base", name="a.name") as sandbox:
            by_name = self.client.sandbox("a.name")
            cat = by_name.processes.start(["cat"], stdin=True, tag="cat")
            self.assertEqual(cat.write("hello "), 6)
            self.assertEqual(cat.write(b"there", eof=True), 11)
            text = "".join(each["text"] for each in cat.output() if each["type"] == "stdout")
            self.assertEqual(text, "cat\nhello there")
            self.assertEqual(cat.wait().get("exit_code"), 0)
            self.assertIn("cat", [each.get("tag") for each in sandbox.processes.list()])
            with self.assertRaises(bough.Conflict):
                cat.write("more")
            with self.assertRaises(bough.Conflict):
                cat.resize(80, 24)
            killed = sandbox.processes.start("sleep 100", stdin=True)
            killed.kill()
            self.assertEqual(killed.info().get("signal"), "SIGKILL")
            with self.assertRaises(bough.InvalidRequest) as refused:
                sandbox.processes.start(["absent"])
            self.assertEqual(refused.exception.code, "process_not_started")
            types = [each["type"] for each in sandbox.processes.start_attached(["a"], "kill")]
            self.assertEqual(types, ["started", "stdout", "end"])

    def test_a_terminal_is_there_both_ways(self) -> None:
        with self.client.spawn("base") as sandbox:
            shell = sandbox.processes.start(["sh"], pty={"cols": 80, "rows": 24}, stdin=True)
            with shell.attach() as terminal:
                terminal.resize(100, 30)
                terminal.signal(28)
                terminal.write("x" * 150_000)
                terminal.end_input()
                pieces = list(terminal.output())
            printed = "".join(each["text"] for each in pieces if each["type"] == "pty")
            self.assertEqual(len(printed), len("sh\n") + 150_000)
            self.assertEqual(pieces[-1]["type"], "end")
            with self.assertRaises(bough.ProcessNotFound):
                sandbox.processes.of(1).attach()

    def test_sandboxes_are_selected_paged_paused_and_told_of(self) -> None:
        made = self.client.spawn_many("base", 5, metadata={"job": "a"})
        self.client.spawn("base")
        listed = [each["id"] for each in self.client.sandboxes.each(selector="job=a", limit=2)]
        self.assertEqual(sorted(listed), sorted(each.id for each in made))
        self.assertEqual(made[0].pause().get("state"), "paused")
        self.assertEqual(made[0].resume().get("state"), "running")
        self.assertEqual(made[0].stats()["memory_unique_bytes"], 4096)
        self.assertEqual(len(self.client.sandboxes.delete_selected("job=a")["removed"]), 5)
        told = [each["event"] for each in made[0].events("oldest")]
        self.assertEqual(told, ["created", "running", "ended"])
        self.assertEqual(next(self.client.events("oldest"))["event"], "created")

    def test_networks_are_read_and_set(self) -> None:
        with self.client.spawn("base", network={"mode": "off"}) as sandbox:
            policy = sandbox.network.set("list", rules=[{"allow": "pypi.org"}])["policy"]
            self.assertEqual((policy["mode"], policy["rules"]), ("list", [{"allow": "pypi.org"}]))
            self.assertEqual(sandbox.network.get()["open"], 0)
            self.assertEqual(sandbox.network.check("pypi.org", 443)["verdict"], "refused")
            self.assertEqual([each["kind"] for each in sandbox.network.log()], ["tcp"])


class AsyncStreamsTest(DaemonTest, unittest.IsolatedAsyncioTestCase):
    async def test_are_the_same_and_end_with_their_task(self) -> None:
        async with AsyncBough(self.daemon.url) as client, await client.spawn("base") as sandbox:
            cat = await sandbox.processes.start(["cat"], stdin=True)
            terminal = await cat.attach()
            reading = asyncio.ensure_future(_text_of(terminal))
            await terminal.write("typed")
            await terminal.end_input()
            self.assertEqual(await asyncio.wait_for(reading, 20), "cat\ntyped")
            self.assertEqual((await cat.wait()).get("exit_code"), 0)
            listed = [each["id"] async for each in client.sandboxes.each()]
            self.assertIn(sandbox.id, listed)
            before = int((await sandbox.exec(["left"]))["stdout"])
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(_drain(sandbox.exec_stream(["wait"])), 0.3)
            for _ in range(1000):
                if int((await sandbox.exec(["left"]))["stdout"]) == before + 1:
                    break
                await asyncio.sleep(0.02)
            else:
                self.fail("the program of a task that was cancelled runs on")

    async def test_stop_with_a_cancel(self) -> None:
        client, stop = AsyncBough(self.daemon.url), bough.Cancel()
        asyncio.get_running_loop().call_later(0.2, stop.set)
        with self.assertRaises(bough.BoughCancelled):
            await _drain(client.events(cancel=stop))


class RestartedTest(unittest.TestCase):
    def test_events_go_on_with_the_next_daemon(self) -> None:
        daemon = FakeDaemon()
        client = Bough(daemon.url)
        self.addCleanup(client.close)
        events = client.events("oldest")
        client.spawn("base")
        self.assertEqual([next(events)["event"], next(events)["event"]], ["created", "running"])
        daemon.kill()
        daemon = FakeDaemon(daemon.listen)
        self.addCleanup(daemon.stop)
        gap = next(events)
        self.assertEqual((gap["event"], gap.get("missed")), ("gap", None))
        events.close()


async def _text_of(terminal: bough.AsyncAttachment) -> str:
    return "".join([each["text"] async for each in terminal.output() if each["type"] == "stdout"])


async def _drain(pieces: Any) -> None:
    async for _ in pieces:
        pass
