"""eval: the warm interpreter, a process of its own that has imported what the image promises and keeps one namespace.

    connections --submit()--> queue --> pump thread <--JSON lines on fd BOUGH_FD--> interpreter process
                                                    <--stdout and stderr pipes-----

The pump thread owns the process: it starts it, feeds it one piece of code at a time, reads everything it prints (so that
it can never block on a full pipe) and notices its death. What is printed between two evals is thrown away.

A cancelled job is interrupted (SIGINT); what ignores that for INTERRUPT_GRACE_SECONDS is killed, and the namespace with
it. A process that died is started again at once, unless it died before it was ready: then at the next eval.
"""

from __future__ import annotations

import os
import select
import threading
import time

from worker import Worker

TYPE_CHECKING = False  # the module of that name would be loaded for it at each boot
if TYPE_CHECKING:
    from typing import Any

INTERRUPT_GRACE_SECONDS = 5
MAX_QUEUED_JOBS = 64


class Busy(Exception):
    """Too many evals are waiting."""


class Job:
    """One eval. `done_fd` becomes readable when `outcome` is set. Whoever submitted it calls `Interpreter.release`."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.outcome: dict[str, Any] | None = None
        self.released = False
        self.done_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)


class Interpreter:
    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._command = command
        self._environment = environment
        self._lock = threading.Lock()
        self._queue: list[Job] = []
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._settled = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._environment_changed = False
        self.state = 'starting'
        threading.Thread(target=self._pump, name='interpreter', daemon=True).start()

    @property
    def settled_fd(self) -> int:
        """Readable once the process has become ready or failed to, and for ever after."""
        return self._settled

    def submit(self, code: str) -> Job:
        with self._lock:
            if len(self._queue) >= MAX_QUEUED_JOBS:
                raise Busy
            job = Job(code)
            self._queue.append(job)
        self._wake()
        return job

    def release(self, job: Job) -> None:
        """The submitter wants no more of the job: if it is still waiting or running, it is cancelled."""
        with self._lock:
            job.released = True
            os.close(job.done_fd)
        self._wake()

    def set_environment(self, environment: dict[str, str]) -> None:
        """The environment of what the interpreter starts from now on."""
        with self._lock:
            self._environment = environment
            self._environment_changed = True
        self._wake()

    def _wake(self) -> None:
        os.eventfd_write(self._wake_fd, 1)

    def _finish(self, job: Job, outcome: dict[str, Any]) -> None:
        with self._lock:
            if not job.released:
                job.outcome = outcome
                os.eventfd_write(job.done_fd, 1)

    def _settle(self, state: str) -> None:
        self.state = state
        os.eventfd_write(self._settled, 1)

    def _pump(self) -> None:
        while True:
            reason = self._serve_one_process()
            if reason is not None:
                self._settle('failed')
                self._fail_queue(reason)
                self._wait_for_job()
            self.state = 'starting'

    def _serve_one_process(self) -> str | None:
        """Runs until the process has died. None, or why it never became ready."""
        with self._lock:
            environment = self._environment
            self._environment_changed = False
        try:
            worker = Worker(self._command, environment)
        except OSError as error:
            return f'cannot start the interpreter: {error}'
        job = None
        kill_at = None
        while worker.alive:
            if worker.ready:
                if self.state != 'ready':
                    self._settle('ready')
                if job is None:
                    job = self._start_next_job(worker)
            if job is not None and job.released and kill_at is None:
                worker.interrupt()
                kill_at = time.monotonic() + INTERRUPT_GRACE_SECONDS
            if kill_at is not None and time.monotonic() >= kill_at:
                worker.kill()
            outcome = worker.step(self._wake_fd, kill_at)
            if outcome is not None and job is not None:
                self._finish(job, outcome)
                job = kill_at = None
        death = worker.reap()
        if job is not None:
            self._finish(job, worker.printed({'result': None, 'error': f'the interpreter {death}', 'exit_code': 1}))
        return None if worker.ready else f'the interpreter {death} before it was ready'

    def _start_next_job(self, worker: Worker) -> Job | None:
        with self._lock:
            if self._environment_changed:
                worker.send({'env': self._environment})
                self._environment_changed = False
            while self._queue:
                job = self._queue.pop(0)
                if not job.released:
                    worker.begin({'code': job.code})
                    return job
        return None

    def _fail_queue(self, reason: str) -> None:
        with self._lock:
            jobs, self._queue = self._queue, []
        for job in jobs:
            self._finish(job, {'result': None, 'error': reason, 'exit_code': 1})

    def _wait_for_job(self) -> None:
        poll = select.poll()
        poll.register(self._wake_fd, select.POLLIN)
        while True:
            with self._lock:
                if self._queue:
                    return
            poll.poll()
            os.eventfd_read(self._wake_fd)
