"""The project's daemon over a host without VMs, as a process."""

from __future__ import annotations

import os
import subprocess
import unittest
from typing import Optional

PROGRAM = os.environ.get("BOUGH_FAKE_DAEMON", "")


class FakeDaemon:
    """Runs until `stop` or `kill`. A second one on the same address is a restart of the first."""

    def __init__(self, listen: str = "127.0.0.1:0", token_file: Optional[str] = None) -> None:
        if not PROGRAM:
            raise unittest.SkipTest("BOUGH_FAKE_DAEMON does not name the daemon's program")
        args = ["node", PROGRAM, listen, *([token_file] if token_file else [])]
        self._process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the daemon did not start"
        self.listen = self.url[len("http://") :]

    def stop(self) -> None:
        """Ends it politely, and waits for that."""
        self._process.communicate()

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()
        self._process.communicate()


class DaemonTest(unittest.TestCase):
    """Tests against one daemon."""

    daemon: FakeDaemon

    @classmethod
    def setUpClass(cls) -> None:
        cls.daemon = FakeDaemon()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.daemon.stop()
