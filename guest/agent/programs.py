"""exec: runs one program with its input and output streamed over the connection.

One poll loop per program and no thread besides. Output is read only when the previous piece has been sent, so a slow
client slows the program down (through the pipe) and memory stays bounded; input likewise the other way round.

The program leads its own session and process group. The group is killed at the deadline and when the client goes away;
what it left running in the background after it ended is left alone. When the machine gets a new owner (see session.py)
the program goes on with its output thrown away.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time

import frames
from oom import reset_oom_score
from session import LOST_GRACE_SECONDS, readable

TYPE_CHECKING = False  # the module of that name would be loaded for it at each boot
if TYPE_CHECKING:
    from typing import Any

    from session import Session

STDIN_HIGH_WATER_BYTES = 1 << 20


class Program:
    def __init__(
        self, session: Session, args: list[str], env: dict[str, str], cwd: str, timeout_seconds: float | None
    ) -> None:
        """Starts the program. Raises OSError when it cannot be started and ValueError for text the kernel refuses."""
        self._session = session
        self._deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        self._lost_at: float | None = None
        self._input = bytearray()
        self._input_ended = False
        self._timed_out = False
        self._cancelled = False
        self._process = subprocess.Popen(
            args,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=cwd,
            start_new_session=True,
            bufsize=0,
        )
        self._pidfd = os.pidfd_open(self._process.pid)
        reset_oom_score(self._process.pid)
        self._outputs: dict[int, int] = {}
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin and stdout and stderr  # pipes, as was asked for
        self._stdin = stdin
        self._pipes = (stdin, stdout, stderr)
        for kind, pipe in ((frames.STDOUT, stdout), (frames.STDERR, stderr)):
            self._outputs[pipe.fileno()] = kind
        for pipe in self._pipes:
            os.set_blocking(pipe.fileno(), False)

    def run(self) -> dict[str, Any]:
        """Serves the connection until the program ended; returns the payload of the END frame."""
        try:
            self._take_frames()  # what came together with the request
            while not self._step():
                pass
            self._drain_after_exit()
        finally:
            if not readable(self._pidfd, 0):
                self._kill()
            status = self._process.wait()
            for pipe in self._pipes:
                pipe.close()
            os.close(self._pidfd)
        if self._timed_out:
            return {'error': {'code': 'deadline', 'message': 'the program was killed at its deadline'}}
        return {'exit_code': status if status >= 0 else 128 - status}

    def _step(self) -> bool:
        """Waits for something to do and does it. True when the program has exited."""
        self._check_clock()
        self._feed_stdin()
        ready = dict(self._poller().poll(self._wait_ms()))
        session = self._session
        if session.fileno() in ready and session.usable:
            if ready[session.fileno()] & ~select.POLLOUT:
                session.receive()
            self._take_frames()
            session.flush()
        for fd in [fd for fd in self._outputs if fd in ready]:
            if not session.sending:
                self._forward(fd)
        return self._pidfd in ready

    def _poller(self) -> select.poll:
        session = self._session
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        if session.usable:
            poll.register(session.wake_fd, select.POLLIN)
            wants = select.POLLRDHUP
            if len(self._input) < STDIN_HIGH_WATER_BYTES:
                wants |= select.POLLIN
            poll.register(session, wants | (select.POLLOUT if session.sending else 0))
        if self._input and not self._stdin.closed:
            poll.register(self._stdin, select.POLLOUT)
        if not session.sending:
            for fd in self._outputs:
                poll.register(fd, select.POLLIN)
        return poll

    def _wait_ms(self) -> float | None:
        ends = [self._deadline]
        if self._lost_at is not None and not self._session.detached and not self._cancelled:
            ends.append(self._lost_at + LOST_GRACE_SECONDS)
        ends = [end for end in ends if end is not None]
        return max(0, (min(ends) - time.monotonic()) * 1000 + 1) if ends else None

    def _check_clock(self) -> None:
        now = time.monotonic()
        session = self._session
        if self._deadline is not None and now >= self._deadline:
            self._timed_out = True
            self._deadline = None
            self._kill()
        if session.lost and self._lost_at is None:
            self._lost_at = now
        gone = self._lost_at is not None and now >= self._lost_at + LOST_GRACE_SECONDS
        if (session.closed or gone) and not session.detached and not self._cancelled:
            self._cancelled = True
            self._kill()

    def _take_frames(self) -> None:
        try:
            frame = self._session.next_frame()
            while frame is not None:
                kind, payload = frame
                if kind != frames.STDIN or self._input_ended:
                    raise frames.ProtocolError('unexpected frame')
                self._input += payload
                self._input_ended = not payload
                frame = self._session.next_frame()
        except frames.ProtocolError:
            self._session.closed = True

    def _feed_stdin(self) -> None:
        stdin = self._stdin
        if stdin.closed:
            self._input.clear()
            return
        try:
            while self._input:
                del self._input[: os.write(stdin.fileno(), memoryview(self._input)[: frames.CHUNK_BYTES])]
        except BlockingIOError:
            return
        except OSError:
            self._input.clear()
            stdin.close()
            return
        if self._input_ended:
            stdin.close()

    def _forward(self, fd: int) -> bool:
        """Passes one piece of output on. True when there was some."""
        try:
            chunk = os.read(fd, frames.CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            del self._outputs[fd]
            return False
        if self._session.usable:
            self._session.queue(frames.encode(self._outputs[fd], chunk))
        return True

    def _drain_after_exit(self) -> None:
        """What the program wrote before it exited is in the pipes already; what its children write later is not its."""
        for fd in list(self._outputs):
            left_bytes = 1 << 20  # a pipe holds no more: a child that writes on cannot keep this here
            while left_bytes > 0:
                self._wait_sent()
                if fd not in self._outputs or not self._forward(fd):
                    break
                left_bytes -= frames.CHUNK_BYTES
        self._wait_sent()

    def _wait_sent(self) -> None:
        session = self._session
        while session.sending and session.usable:
            poll = select.poll()
            poll.register(session, select.POLLOUT | select.POLLRDHUP)
            poll.register(session.wake_fd, select.POLLIN)
            events = dict(poll.poll(self._wait_ms()))
            if events.get(session.fileno(), 0) & (select.POLLRDHUP | select.POLLHUP | select.POLLERR):
                session.closed = True
            if self._deadline is not None and time.monotonic() >= self._deadline:
                self._timed_out = True
                return
            session.flush()

    def _kill(self) -> None:
        # Not reaped yet, so the group's number is still its own.
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
