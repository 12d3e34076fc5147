"""A daemon that is slow, cut off, gone, or something else altogether."""

from __future__ import annotations

import json
import socket
import threading
import time
import unittest
from unittest import mock

import bough
from bough import Bough, BoughApiError, BoughTimeout, BoughUnreachable
from bough import _connection, _transport

from .fake_server import FakeServer, Peer, always, raw

HALF = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[1,2"


def no_waiting() -> mock._patch[float]:  # pyright: ignore[reportPrivateUsage]
    return mock.patch.object(_transport, "RESTART_SECS", 0)


class StrangerTest(unittest.TestCase):
    def failure(self, answer: bytes, status: str = "200 OK", content_type: str = "application/json") -> BoughApiError:
        with FakeServer(always(answer, status, content_type)) as server, self.assertRaises(BoughApiError) as caught:
            Bough(server.url).snapshots.list()
        return caught.exception

    def test_that_does_not_speak_this_api_is_told_as_such(self) -> None:
        for answer, status, content_type in (
            (b"<html>", "500 Internal Server Error", "text/html"),
            (b"<html>", "500 Internal Server Error", "application/json"),
            (b'{"error": {"message": "x"}}', "500 Internal Server Error", "application/json"),
            (b"[1, 2", "200 OK", "application/json"),
            (b'["\xff"]', "200 OK", "application/json"),
            (b"[" * 200_000, "200 OK", "application/json"),
            (b"\xff", "200 OK", "text/plain"),
        ):
            with self.subTest(answer[:10]):
                error = self.failure(answer, status, content_type)
                self.assertEqual((error.code, error.status), ("unexpected_answer", int(status[:3])))

    def test_that_redirects_is_not_followed(self) -> None:
        with FakeServer(always(b"")) as other:
            head = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {other.url}/\r\nContent-Length: 0\r\n\r\n"
            with FakeServer(raw(head.encode())) as server, self.assertRaises(BoughApiError) as caught:
                Bough(server.url, "secret").version()
            self.assertEqual((caught.exception.status, other.connection_count), (307, 0))

    def test_that_does_not_speak_http_is_asked_once(self) -> None:
        for data in (b"SSH-2.0-OpenSSH\r\n", b"\0" * 100, b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200, b"x" * 100_000):
            with self.subTest(data[:10]), FakeServer(raw(data)) as server:
                with self.assertRaises(BoughUnreachable):
                    Bough(server.url).version()
                self.assertEqual(server.connection_count, 1)

    def test_that_never_ends_is_left(self) -> None:
        def behave(peer: Peer, _number: int) -> None:
            peer.request()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
            peer.send(b" " * 100_000)

        with mock.patch.object(_connection, "MAX_ANSWER_BYTES", 10_000), FakeServer(behave) as server:
            with self.assertRaisesRegex(BoughUnreachable, "larger than"):
                Bough(server.url).version()

    def test_codes_that_are_not_known_keep_their_name(self) -> None:
        error = self.failure(b'{"error": "No.", "code": "brand_new", "details": {"a": 1}}', "418 Teapot")
        self.assertEqual((type(error), error.code, str(error)), (BoughApiError, "brand_new", "No."))
        self.assertEqual((error.details, error.retryable), ({"a": 1}, False))


class LargeTest(unittest.TestCase):
    def test_answers_arrive_whole(self) -> None:
        text = "\0é" * (4 << 20)
        with FakeServer(always(json.dumps({"stdout": text}).encode())) as server:
            self.assertEqual(Bough(server.url).sandboxes.exec("s1", ["cat"])["stdout"], text)

    def test_answers_in_chunks_arrive_whole(self) -> None:
        chunks = b"3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        with FakeServer(raw(head + chunks)) as server:
            self.assertEqual(Bough(server.url).snapshots.list(), [1, 2])


class GoneTest(unittest.TestCase):
    def test_before_the_call_is_told_at_once(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = "http://127.0.0.1:%d" % listener.getsockname()[1]
        started_secs = time.monotonic()
        with self.assertRaises(BoughUnreachable) as caught:
            Bough(url).healthz()
        self.assertEqual(str(caught.exception), f"No answer from {url}: nothing listens there")
        self.assertFalse(caught.exception.may_have_happened)
        self.assertLess(time.monotonic() - started_secs, _transport.RESTART_SECS)

    def test_in_the_middle_of_an_answer(self) -> None:
        with no_waiting(), FakeServer(raw(HALF)) as server, self.assertRaises(BoughUnreachable) as caught:
            Bough(server.url).snapshots.list()
        self.assertIn("in the middle of the answer", str(caught.exception))
        self.assertTrue(caught.exception.may_have_happened)

    def test_under_a_call_that_may_not_be_repeated(self) -> None:
        def behave(peer: Peer, _number: int) -> None:
            peer.request()
            peer.reset()

        with FakeServer(behave) as server:
            client = Bough(server.url)
            for call in (
                lambda: client.sandboxes.exec("s1", ["a"]),
                lambda: client.sandboxes.branch("s1"),
                lambda: client.sandboxes.delete("s1"),
                lambda: client.snapshots.delete("t1"),
            ):
                before = server.connection_count
                with self.assertRaises(BoughUnreachable) as caught:
                    call()
                self.assertTrue(caught.exception.may_have_happened)
                self.assertEqual(server.connection_count - before, 1)

    def test_under_a_call_that_may_be_repeated(self) -> None:
        requests: list[bytes] = []

        def behave(peer: Peer, number: int) -> None:
            requests.append(peer.request())
            if number % 3 == 2:
                peer.answer(b'{"tag": "t1"}')
            else:
                peer.send(HALF if number % 3 else b"")
                peer.reset()

        with FakeServer(behave) as server:
            client = Bough(server.url)
            self.assertEqual(client.snapshots.get("t1")["tag"], "t1")
            self.assertEqual(client.sandboxes.branch("s1", "t1", idempotency_key="once")["tag"], "t1")
        self.assertEqual(len(requests), 6)
        self.assertEqual(len(set(requests[:3])), 1)
        self.assertEqual(len(set(requests[3:])), 1)
        self.assertIn(b"\r\nIdempotency-Key: once\r\n", requests[3])

    def test_while_the_connection_was_idle_repeats_nothing_and_loses_nothing(self) -> None:
        requests: list[bytes] = []

        def behave(peer: Peer, _number: int) -> None:
            requests.append(peer.request())
            peer.answer()

        with FakeServer(behave) as server:
            client = Bough(server.url)
            for _ in range(20):
                client.sandboxes.exec("s1", ["a"])
                self.assertTrue(server.closed.acquire(timeout=60))
        self.assertEqual(len(requests), 20)

    def test_politely_is_waited_for_by_what_may_be_repeated(self) -> None:
        body = b'{"error": "The daemon is shutting down", "code": "shutting_down"}'

        def behave(peer: Peer, number: int) -> None:
            peer.request()
            if number == 1:
                peer.answer(b"[]")
            else:
                peer.answer(body, "503 Service Unavailable")

        with FakeServer(behave) as server:
            self.assertEqual(Bough(server.url).snapshots.list(), [])
            with self.assertRaises(bough.ShuttingDown):
                Bough(server.url).sandboxes.exec("s1", ["a"])


class SlowTest(unittest.TestCase):
    def test_answers_are_given_up_in_time_however_they_drip(self) -> None:
        def silent(peer: Peer, _number: int) -> None:
            peer.request()
            peer.request()

        def dripping_head(peer: Peer, _number: int) -> None:
            peer.request()
            for _ in range(100):
                peer.send(b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n")
                time.sleep(0.02)

        def dripping_body(peer: Peer, _number: int) -> None:
            peer.request()
            peer.send(HALF)
            for _ in range(90):
                peer.send(b" ")
                time.sleep(0.02)

        for behave in (silent, dripping_head, dripping_body):
            with self.subTest(behave.__name__), FakeServer(behave) as server:
                with self.assertRaisesRegex(BoughTimeout, "^No answer within 0.1 s$"):
                    Bough(server.url).version(give_up_secs=0.1)
                with self.assertRaises(BoughTimeout):
                    Bough(server.url, give_up_secs=0.1).sandboxes.exec("s1", ["a"])

    def test_answers_are_not_mistaken_for_those_of_later_calls(self) -> None:
        def behave(peer: Peer, number: int) -> None:
            while peer.request():
                if number == 0:
                    time.sleep(0.2)
                peer.answer(b"[%d]" % number)

        with FakeServer(behave) as server:
            client = Bough(server.url)
            with self.assertRaises(BoughTimeout):
                client.snapshots.list(give_up_secs=0.05)
            time.sleep(0.3)
            self.assertEqual(client.snapshots.list(), [1])

    def test_a_cancelled_call_ends_and_tells_the_daemon(self) -> None:
        left = threading.Event()

        def behave(peer: Peer, _number: int) -> None:
            peer.request()
            if peer.request() == b"":
                left.set()

        with FakeServer(behave) as server:
            stop = bough.Cancel()
            timer = threading.Timer(0.1, stop.set)
            timer.start()
            with self.assertRaises(bough.BoughCancelled):
                Bough(server.url).sandboxes.exec("s1", ["sleep"], cancel=stop)
            timer.join()
            self.assertTrue(left.wait(5))
            with self.assertRaises(bough.BoughCancelled):
                Bough(server.url).version(cancel=stop)
