"""The guest agent: serves operations over TCP, one connection each. The protocol is in docs/internals/agent-protocol.md.

    python3 -I -S agent [--config FILE] [--bind ADDRESS] [--port N] [--unprivileged]

The configuration is the guest's /etc/bough/agent.json. With --unprivileged it changes nothing of the machine it runs on
(no clock, no random numbers, no hostname); that and port 0 are for tests on a host.

Needs nothing but Python's standard library, and as little of that as it can: what is imported here is waited for at
each boot. Idle it sleeps in accept() and wakes up for nothing.
"""

from __future__ import annotations

import json
import socket
import sys
import threading

import frames
from identity import Identity
from interpreter import Interpreter
from operations import Operations
from session import Session

TYPE_CHECKING = False  # the module of that name would be loaded for it at each boot
if TYPE_CHECKING:
    from typing import Any

MAX_CONNECTIONS = 200
THREAD_STACK_BYTES = 256 << 10

DEFAULTS: dict[str, Any] = {
    'bind': '0.0.0.0',
    'port': 10000,
    'privileged': True,
    'interpreter': None,
    'cwd': '/root',
    'state_path': '/run/bough/agent.json',
    'hook_path': '/etc/bough/hooks/after-restore',
    'environment': {
        'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        'HOME': '/root',
        'USER': 'root',
        'LOGNAME': 'root',
        'SHELL': '/bin/sh',
        'LANG': 'C.UTF-8',
    },
}


def read_config(arguments: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {'--config': '/etc/bough/agent.json'}
    flags = {'--unprivileged': False}
    arguments = list(arguments)
    while arguments:
        name = arguments.pop(0)
        if name in flags:
            flags[name] = True
        elif name in ('--config', '--bind', '--port') and arguments:
            values[name] = arguments.pop(0)
        else:
            sys.exit(f'bough-agent: unknown argument {name}')
    with open(values['--config']) as file:
        config: dict[str, Any] = {**DEFAULTS, **json.load(file)}
    config['bind'] = values.get('--bind', config['bind'])
    config['port'] = int(values.get('--port', config['port']))
    config['privileged'] = config['privileged'] and not flags['--unprivileged']
    return config


class Agent:
    def __init__(self, config: dict[str, Any]) -> None:
        self._lock = threading.Lock()
        self._identify_lock = threading.Lock()
        self._sessions: set[Session] = set()
        self._listener = socket.create_server((config['bind'], config['port']), backlog=MAX_CONNECTIONS)
        identity = Identity(config)
        command = config['interpreter']
        interpreter = Interpreter(command, identity.environment) if command else None
        self._operations = Operations(config, identity, interpreter, self._detach_others)

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                continue  # the client was gone before we took it
            with self._lock:
                if len(self._sessions) >= MAX_CONNECTIONS:
                    connection.close()
                    continue
                session = Session(connection)
                self._sessions.add(session)
            threading.Thread(target=self._serve_session, args=(session,), daemon=True).start()

    def _serve_session(self, session: Session) -> None:
        try:
            request = session.read_request()
            if request['op'] == 'identify':
                with self._identify_lock:
                    end = self._operations.run(session, request)
            else:
                end = self._operations.run(session, request)
            if end is not None:
                session.finish(end)
        except (OSError, frames.ProtocolError):
            pass  # the connection is of no use any more
        finally:
            with self._lock:
                self._sessions.discard(session)
            session.close()

    def _detach_others(self, keep: Session) -> None:
        with self._lock:
            for session in self._sessions:
                if session is not keep:
                    session.detach()


def main() -> None:
    config = read_config(sys.argv[1:])
    threading.stack_size(THREAD_STACK_BYTES)
    agent = Agent(config)
    print(f'bough: agent listening on {config["bind"]}:{agent.port}', flush=True)
    agent.serve()


main()
