"""Where the daemon is and which token it wants; what a call refuses before it is sent."""

from __future__ import annotations

import os
import pickle
import tempfile
import unittest
from typing import Any, cast
from unittest import mock

import bough
from bough import Bough

from .fake_server import FakeServer, Peer


def environment(**variables: str) -> Any:
    return mock.patch.dict(os.environ, variables, clear=True)


class WhereTest(unittest.TestCase):
    def test_is_given_or_from_the_environment_or_this_machine(self) -> None:
        with environment(BOUGH_URL="http://box:1234/bough/"):
            self.assertEqual(Bough().url, "http://box:1234/bough")
            self.assertEqual(Bough("https://other").url, "https://other")
        with environment(BOUGH_URL=""):
            self.assertEqual(Bough().url, "http://127.0.0.1:8889")

    def test_is_refused_if_it_is_no_http_url(self) -> None:
        bad = "box:8889", "ftp://box", "http://", "http://a b", "http://u:p@box", "http://box?x", "http://box:99999"
        for url in (*bad, "http://box\r\nX: y"):
            with self.subTest(url), self.assertRaises(ValueError):
                Bough(url)

    def test_keeps_a_path_before_the_apis(self) -> None:
        seen: list[bytes] = []

        def behave(peer: Peer, _number: int) -> None:
            seen.append(peer.request())
            peer.answer(b"[]")

        with FakeServer(behave) as server:
            Bough(server.url + "/base").snapshots.list()
        self.assertTrue(seen[0].startswith(b"GET /base/v1/snapshots HTTP/1.1\r\nHost: 127.0.0.1:"))


class TokenTest(unittest.TestCase):
    def sent_token(self, *args: str, **options: str) -> bytes:
        """The Authorization header that a client with these options sends."""
        seen: list[bytes] = []

        def behave(peer: Peer, _number: int) -> None:
            seen.append(peer.request())
            peer.answer()

        with FakeServer(behave) as server:
            Bough(server.url, *args, **options).healthz()
        return b"".join(line for line in seen[0].split(b"\r\n") if line.startswith(b"Authorization"))

    def test_is_given_or_from_a_file_or_from_the_environment(self) -> None:
        with tempfile.NamedTemporaryFile("w") as file, environment(BOUGH_TOKEN="from-env"):
            file.write("from-file\n")
            file.flush()
            self.assertEqual(self.sent_token("given"), b"Authorization: Bearer given")
            self.assertEqual(self.sent_token(), b"Authorization: Bearer from-env")
            self.assertEqual(self.sent_token(token_file=file.name), b"Authorization: Bearer from-file")
            with environment(BOUGH_TOKEN="from-env", BOUGH_TOKEN_FILE=file.name):
                self.assertEqual(self.sent_token(), b"Authorization: Bearer from-file")
        with environment():
            self.assertEqual(self.sent_token(), b"")

    def test_is_refused_if_no_header_could_hold_it(self) -> None:
        for token in ("a b", "a\r\nX: y", "ä"):
            with self.subTest(token), self.assertRaises(ValueError):
                Bough(token=token)
        with self.assertRaises(OSError):
            Bough(token_file="/no/such/file")


class MisuseTest(unittest.TestCase):
    """None of these reaches a daemon: there is none."""

    client = Bough("http://127.0.0.1:9")

    def test_of_a_name(self) -> None:
        for name in ("", ".", "..", "a/b", "a?b", "a#b", "%2e%2e", "a\n", "ä", None, 1):
            with self.subTest(name), self.assertRaises(ValueError):
                self.client.sandboxes.get(cast(str, name))

    def test_of_a_field(self) -> None:
        untyped: Any = self.client.sandboxes
        with self.assertRaisesRegex(TypeError, "branch takes no 'tagg'; it takes .*'?tag"):
            untyped.branch("s1", tagg="t")
        with self.assertRaisesRegex(TypeError, "exec takes no 'idempotency_key'"):
            untyped.exec("s1", ["a"], idempotency_key="k")
        with self.assertRaises(ValueError):
            self.client.sandboxes.branch("s1", idempotency_key="two words")
        with self.assertRaises(ValueError):
            self.client.sandboxes.exec("s1", ["a"], float("nan"))
        with self.assertRaises(TypeError):
            untyped.exec("s1", [b"bytes"])

    def test_of_text_that_is_not_unicode(self) -> None:
        name = os.fsdecode(b"caf\xe9")
        with self.assertRaises(UnicodeEncodeError):
            self.client.sandboxes.exec("s1", ["cat", name])


class ErrorsTest(unittest.TestCase):
    def test_survive_a_process_boundary(self) -> None:
        refused = bough.SandboxNotFound("gone", status=404, code="sandbox_not_found", details={"id": "s1"})
        copy = pickle.loads(pickle.dumps(refused))
        self.assertEqual((type(copy), str(copy), vars(copy)), (type(refused), "gone", vars(refused)))
        lost = pickle.loads(pickle.dumps(bough.BoughUnreachable("http://x", "nobody", may_have_happened=True)))
        self.assertEqual((str(lost), lost.may_have_happened), ("No answer from http://x: nobody", True))
        self.assertIsInstance(pickle.loads(pickle.dumps(bough.BoughTimeout("late"))), TimeoutError)
