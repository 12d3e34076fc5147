"""What a request asks for: each operation takes the session and the request and returns the END payload."""

from __future__ import annotations

import os
import signal
import time

import fields
import frames
from identity import IdentifyFailed, Unauthorized
from interpreter import Busy
from programs import Program

TYPE_CHECKING = False  # the module of that name would be loaded for it at each boot
if TYPE_CHECKING:
    from typing import Any
    from collections.abc import Callable

    from identity import Identity
    from interpreter import Interpreter
    from session import Session

MAX_CODE_CHARACTERS = 4 << 20


class Operations:
    """All operations of one agent. `detach_others(session)` cuts off the connections of a former owner."""

    def __init__(
        self,
        config: dict[str, Any],
        identity: Identity,
        interpreter: Interpreter | None,
        detach_others: Callable[[Session], None],
    ) -> None:
        self._config = config
        self._identity = identity
        self._interpreter = interpreter
        self._detach_others = detach_others
        self._table = {
            'ping': self._ping,
            'exec': self._exec,
            'eval': self._eval,
            'set_clock': self._set_clock,
            'shutdown': self._shutdown,
        }

    def run(self, session: Session, request: dict[str, Any]) -> dict[str, Any] | None:
        """The END payload, or None when it has been sent already."""
        try:
            if request['op'] == 'identify':
                return self._identify(session, request)
            self._identity.check(request)
            operation = self._table.get(request['op'])
            if operation is None:
                return _error('unknown_op', f'there is no operation "{request["op"][:64]}"')
            return operation(session, request)
        except fields.BadRequest as error:
            return _error('bad_request', str(error))
        except Unauthorized:
            return _error('unauthorized', 'the secret is missing or wrong')
        except IdentifyFailed as error:
            return _error('identify_failed', str(error))

    def _identify(self, session: Session, request: dict[str, Any]) -> dict[str, Any]:
        answer = self._identity.identify(request)
        self._detach_others(session)
        if self._interpreter is not None:
            self._interpreter.set_environment(self._identity.environment)
        return answer

    def _ping(self, session: Session, request: dict[str, Any]) -> dict[str, Any]:
        timeout = fields.seconds(request, 'timeout_secs')
        if self._interpreter is not None and request.get('warm') is True:
            session.wait(self._interpreter.settled_fd, timeout)
        return {
            'pong': True,
            'interpreter': 'none' if self._interpreter is None else self._interpreter.state,
            'uptime_secs': round(time.monotonic(), 3),
        }

    def _exec(self, session: Session, request: dict[str, Any]) -> dict[str, Any]:
        args = fields.string_list(request, 'args')
        cwd = fields.text(request, 'cwd') or self._config['cwd']
        environment = {**self._identity.environment, **fields.string_map(request, 'env')}
        timeout = fields.seconds(request, 'timeout_secs')
        if not os.path.isdir(cwd):
            return _error('bad_request', f'cwd "{cwd}" is not a directory')
        try:
            program = Program(session, args, environment, cwd, timeout)
        except (FileNotFoundError, NotADirectoryError):
            return _not_started(session, 127, f'{args[0]}: not found')
        except OSError as error:
            return _not_started(session, 126, f'{args[0]}: {error.strerror}')
        return program.run()

    def _eval(self, session: Session, request: dict[str, Any]) -> dict[str, Any] | None:
        code = fields.required_text(request, 'code')
        timeout = fields.seconds(request, 'timeout_secs')
        if len(code) > MAX_CODE_CHARACTERS:
            return _error('bad_request', f'code must have at most {MAX_CODE_CHARACTERS} characters')
        if self._interpreter is None:
            return _error('no_interpreter', 'this image has no warm interpreter')
        try:
            job = self._interpreter.submit(code)
        except Busy:
            return _error('busy', 'too many evals are waiting')
        try:
            if session.wait(job.done_fd, timeout):
                return job.outcome
            return _error('deadline', 'the evaluation was interrupted at its deadline')
        finally:
            self._interpreter.release(job)

    def _set_clock(self, _session: Session, request: dict[str, Any]) -> dict[str, Any]:
        unix_time_ns = fields.nanoseconds(request, 'unix_time_ns')
        try:
            self._identity.set_clock(unix_time_ns)
        except OSError as error:
            return _error('clock_failed', f'the clock cannot be set: {error.strerror}')
        return {}

    def _shutdown(self, session: Session, _request: dict[str, Any]) -> None:
        session.finish({})  # before the signal: PID 1 ends this process too
        os.kill(1 if self._config['privileged'] else os.getpid(), signal.SIGTERM)


def _not_started(session: Session, exit_code: int, reason: str) -> dict[str, Any]:
    """As a shell says it: users of exec look at the exit code and at standard error."""
    session.queue(frames.encode(frames.STDERR, f'bough: {reason}\n'.encode(errors='replace')))
    return {'exit_code': exit_code}


def _error(code: str, message: str) -> dict[str, Any]:
    return {'error': {'code': code, 'message': message}}
