"""One client in many threads, tasks, processes, and under signals; and nothing left open."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
import unittest
import warnings
from concurrent.futures import ThreadPoolExecutor

import bough
from bough import AsyncBough, Bough, Cancel

from .daemon import DaemonTest
from .fake_server import FakeServer, Peer


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


class Interrupted(Exception):
    pass


class ThreadsTest(DaemonTest):
    def test_get_their_own_answers(self) -> None:
        client = Bough(self.daemon.url)
        with client.spawn("base") as sandbox, ThreadPoolExecutor(16) as pool:
            codes = [f"code {number}" for number in range(400)]
            results = list(pool.map(sandbox.eval, codes))
        self.assertEqual([each["result"] for each in results], codes)

    def test_leave_no_socket_open_after_many_calls(self) -> None:
        gc.collect()  # What earlier tests left to the collector is not to be counted.
        client = Bough(self.daemon.url)
        before = open_files()
        for _ in range(500):
            client.healthz()
        self.assertEqual(open_files(), before + 1)
        with ThreadPoolExecutor(64) as pool:
            for _ in range(500):
                pool.submit(client.healthz)
        client.close()
        self.assertEqual(open_files(), before)

    def test_leave_no_socket_open_after_failures(self) -> None:
        def behave(peer: Peer, number: int) -> None:
            peer.request()
            if number % 2:
                peer.reset()

        with FakeServer(behave) as server:
            client = Bough(server.url)
            before = open_files()
            for _ in range(50):
                with self.assertRaises(bough.BoughUnreachable):
                    client.sandboxes.exec("s1", ["a"])
            deadline_secs = time.monotonic() + 5
            while open_files() > before and time.monotonic() < deadline_secs:
                time.sleep(0.01)  # The server's ends are closed by its threads.
            self.assertLessEqual(open_files(), before)


class SignalsTest(DaemonTest):
    def left_count(self, client: Bough) -> int:
        return int(client.sandboxes.exec("sandbox1", ["left"])["stdout"])

    def test_interrupt_a_call_and_end_it_in_the_daemon(self) -> None:
        def interrupt(_number: int, _frame: object) -> None:
            raise Interrupted

        client = Bough(self.daemon.url)
        sandbox = client.spawn("base")
        before = self.left_count(client)
        old = signal.signal(signal.SIGALRM, interrupt)
        self.addCleanup(signal.signal, signal.SIGALRM, old)
        for _ in range(5):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with self.assertRaises(Interrupted):
                sandbox.exec(["wait"])
            self.assertEqual(sandbox.eval("after")["result"], "after")
        self.wait_until_left(client, before + 5)

    def test_that_are_only_noted_do_not_disturb_a_call(self) -> None:
        count = 0

        def note(_number: int, _frame: object) -> None:
            nonlocal count
            count += 1

        def behave(peer: Peer, _number: int) -> None:
            while peer.request():
                time.sleep(0.2)
                peer.answer(b"[]")

        old = signal.signal(signal.SIGALRM, note)
        self.addCleanup(signal.signal, signal.SIGALRM, old)
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
        with FakeServer(behave) as server:
            self.assertEqual(Bough(server.url, give_up_secs=5).snapshots.list(), [])
            self.assertEqual(Bough(server.url).snapshots.list(), [])
        self.assertGreater(count, 10)

    def test_may_cancel_a_call_from_their_handler(self) -> None:
        stop = Cancel()
        old = signal.signal(signal.SIGALRM, lambda _number, _frame: stop.set())
        self.addCleanup(signal.signal, signal.SIGALRM, old)
        client = Bough(self.daemon.url)
        before = self.left_count(client)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with self.assertRaises(bough.BoughCancelled):
            client.sandboxes.exec("sandbox1", ["wait"], cancel=stop)
        self.wait_until_left(client, before + 1)

    def wait_until_left(self, client: Bough, count: int) -> None:
        deadline_secs = time.monotonic() + 10
        while self.left_count(client) < count and time.monotonic() < deadline_secs:
            time.sleep(0.02)
        self.assertEqual(self.left_count(client), count)


class ForkTest(DaemonTest):
    def test_gives_parent_and_child_connections_of_their_own(self) -> None:
        client = Bough(self.daemon.url)
        sandbox = client.spawn("base")
        stop = threading.Event()

        def call_on() -> None:
            while not stop.is_set():
                sandbox.eval("thread")

        thread = threading.Thread(target=call_on)
        thread.start()
        try:
            for _ in range(5):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # Newer Pythons warn of threads at a fork: here that is the point.
                    pid = os.fork()
                if pid == 0:
                    right = all(sandbox.eval(f"child {n}")["result"] == f"child {n}" for n in range(20))
                    client.close()
                    os._exit(0 if right else 1)
                for n in range(20):
                    self.assertEqual(sandbox.eval(f"parent {n}")["result"], f"parent {n}")
                self.assertEqual(os.waitpid(pid, 0)[1], 0)
        finally:
            stop.set()
            thread.join()

    def test_does_not_keep_a_call_of_the_parent_alive(self) -> None:
        client = Bough(self.daemon.url)
        client.spawn("base")
        stop = Cancel()
        thread = threading.Thread(target=self.wait_for_cancel, args=(client, stop))
        thread.start()
        time.sleep(0.1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pid = os.fork()
        if pid == 0:
            time.sleep(30)
            os._exit(0)
        try:
            before = int(client.sandboxes.exec("sandbox1", ["left"])["stdout"])
            stop.set()
            thread.join()
            deadline_secs = time.monotonic() + 10
            while int(client.sandboxes.exec("sandbox1", ["left"])["stdout"]) == before:
                self.assertLess(time.monotonic(), deadline_secs)
                time.sleep(0.02)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def wait_for_cancel(self, client: Bough, stop: Cancel) -> None:
        with self.assertRaises(bough.BoughCancelled):
            client.sandboxes.exec("sandbox1", ["wait"], cancel=stop)


class TasksTest(DaemonTest, unittest.IsolatedAsyncioTestCase):
    async def test_get_their_own_answers_more_than_run_at_once(self) -> None:
        client = AsyncBough(self.daemon.url)
        sandbox = await client.spawn("base")
        codes = [f"code {number}" for number in range(300)]
        results = await asyncio.gather(*(sandbox.eval(code) for code in codes))
        self.assertEqual([each["result"] for each in results], codes)
        await client.aclose()

    async def test_that_are_cancelled_end_their_call_in_the_daemon(self) -> None:
        client = AsyncBough(self.daemon.url)
        sandbox = await client.spawn("base")
        before = int((await sandbox.exec(["left"]))["stdout"])
        tasks = [asyncio.ensure_future(sandbox.exec(["wait"])) for _ in range(10)]
        await asyncio.sleep(0.3)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        self.assertTrue(all(isinstance(each, asyncio.CancelledError) for each in results))
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(sandbox.exec(["wait"]), 0.1)
        with self.assertRaises(bough.BoughTimeout):
            await sandbox.exec(["wait"], give_up_secs=0.1)
        stop = Cancel()
        asyncio.get_running_loop().call_later(0.1, stop.set)
        with self.assertRaises(bough.BoughCancelled):
            await sandbox.exec(["wait"], cancel=stop)
        deadline_secs = time.monotonic() + 10
        while int((await sandbox.exec(["left"]))["stdout"]) < before + 13 and time.monotonic() < deadline_secs:
            await asyncio.sleep(0.02)
        self.assertEqual(int((await sandbox.exec(["left"]))["stdout"]), before + 13)

    def test_share_a_client_between_loops(self) -> None:
        client = AsyncBough(self.daemon.url)

        async def ask() -> bool:
            return (await client.healthz())["ok"]

        self.assertTrue(all(asyncio.run(ask()) for _ in range(3)))
