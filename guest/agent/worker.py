"""The interpreter's process: pipes, lines of JSON, and what it printed. Used by the pump thread of interpreter.py alone.

The process finds its end of a socket pair by the number in BOUGH_FD. It says {"ready":true} once, then answers each
{"code":...} with {"result","error","exit_code"}; {"env":...} has no answer. Its standard output and error are pipes of
their own, so nothing that a program prints can be taken for an answer. Everything printed before an answer was written
is in the pipes when the answer arrives, so they are emptied first.

Interpreters keep what they answer short themselves; one that answers without end is killed.

Not handled: several pieces of code at a time.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import time

from oom import reset_oom_score

TYPE_CHECKING = False  # the module of that name would be loaded for it at each boot
if TYPE_CHECKING:
    from typing import Any

MAX_REPLY_BYTES = 16 << 20
MAX_PRINTED_BYTES = 1 << 20
READ_BYTES = 64 << 10
DRAIN_BYTES = 1 << 20


class Worker:
    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**environment, 'BOUGH_FD': str(theirs.fileno())},
                cwd=environment.get('HOME') or '/',
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                bufsize=0,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        reset_oom_score(self._process.pid)
        ours.setblocking(False)
        self._control = ours
        self._unsent = memoryview(b'')
        self._line = bytearray()
        stdout, stderr = self._process.stdout, self._process.stderr
        assert stdout and stderr  # pipes, as was asked for
        self._outputs = (stdout, stderr)
        self._pipes = {stdout.fileno(): 'stdout', stderr.fileno(): 'stderr'}
        for fd in self._pipes:
            os.set_blocking(fd, False)
        self._printed = {'stdout': bytearray(), 'stderr': bytearray()}
        self._truncated = False
        self._collecting = False
        self.ready = False
        self.alive = True

    def send(self, message: dict[str, Any]) -> None:
        self._unsent = memoryview(bytes(self._unsent) + json.dumps(message).encode() + b'\n')
        self._flush()

    def begin(self, message: dict[str, Any]) -> None:
        """Sends a message and collects from now on what is printed."""
        self._collecting = True
        self.send(message)

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def step(self, wake_fd: int, until: float | None) -> dict[str, Any] | None:
        """Waits for anything to happen, at most until that time. Returns the outcome of the code if it ended."""
        poll = select.poll()
        poll.register(wake_fd, select.POLLIN)
        poll.register(self._control, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        for fd in self._pipes:
            poll.register(fd, select.POLLIN)
        timeout_ms = None if until is None else max(0, (until - time.monotonic()) * 1000 + 1)
        ready = dict(poll.poll(timeout_ms))
        if wake_fd in ready:
            os.eventfd_read(wake_fd)
        for fd in [fd for fd in self._pipes if fd in ready]:
            self._read_pipe(fd)
        control = ready.get(self._control.fileno(), 0)
        if control & select.POLLOUT:
            self._flush()
        return self._read_control() if control & ~select.POLLOUT else None

    def printed(self, outcome: dict[str, Any]) -> dict[str, Any]:
        """The outcome with what was printed for it added to it."""
        for name, text in self._printed.items():
            outcome[name] = text.decode(errors='replace')
            text.clear()
        outcome['truncated'] = self._truncated
        self._truncated = False
        self._collecting = False
        return outcome

    def reap(self) -> str:
        """Waits for the process, which has closed its end or been killed; says how it ended."""
        self.kill()
        status = self._process.wait()
        self._drain_pipes()
        for output in self._outputs:
            output.close()
        self._control.close()
        return f'was killed by signal {-status}' if status < 0 else f'exited with status {status}'

    def _flush(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self._control.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.alive = False

    def _read_control(self) -> dict[str, Any] | None:
        try:
            chunk = self._control.recv(READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            chunk = b''
        self._line += chunk
        if not chunk or len(self._line) > MAX_REPLY_BYTES:
            self.alive = False
            return None
        if b'\n' not in chunk:
            return None
        line, _, rest = bytes(self._line).partition(b'\n')
        self._line = bytearray(rest)
        return self._take(line)

    def _take(self, line: bytes) -> dict[str, Any] | None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            self.alive = False
            return None
        if message.get('ready') is True:
            self.ready = True
            return None
        self._drain_pipes()
        return self.printed(
            {
                'result': _text(message.get('result')),
                'error': _text(message.get('error')),
                'exit_code': message.get('exit_code') if isinstance(message.get('exit_code'), int) else 1,
            }
        )

    def _drain_pipes(self) -> None:
        for fd in list(self._pipes):
            left_bytes = DRAIN_BYTES
            while left_bytes > 0 and self._read_pipe(fd):
                left_bytes -= READ_BYTES

    def _read_pipe(self, fd: int) -> bool:
        try:
            chunk = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            del self._pipes[fd]
            return False
        if self._collecting:
            kept = self._printed[self._pipes[fd]]
            left_bytes = MAX_PRINTED_BYTES - len(kept)
            kept += chunk[:left_bytes]
            self._truncated |= len(chunk) > left_bytes
        return True


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
