"""Who this machine is and who may talk to it: the secret, the default environment, and what identify does.

The first identify claims a machine that was booted and has no secret yet. Each later one must know the secret it
replaces. It is called after a restore, before anyone else is let in, and makes a copy a machine of its own: clock, random
numbers, hostname, machine-id. A step that fails fails the call: a child that was not reseeded must not be used.

The state is kept in a file of the guest's /run besides, readable for root only, so that an agent that is started again
still knows its owner.

Not handled: random number generators inside running programs (see docs/internals/agent-protocol.md).
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import time
from _operator import _compare_digest as equal_in_constant_time  # as hmac does; hmac itself would load OpenSSL

import fields

TYPE_CHECKING = False  # the module of that name would be loaded for it at each boot
if TYPE_CHECKING:
    from typing import Any

MIN_SECRET_CHARACTERS = 16
MIN_SEED_BYTES = 32
DEFAULT_HOOK_SECONDS = 10

# linux/random.h; Python has no names for them.
RNDADDENTROPY = 0x40085203
RNDRESEEDCRNG = 0x5207


class Unauthorized(Exception):
    """The request does not carry this machine's secret."""


class IdentifyFailed(Exception):
    """A step of identify could not be done."""


class Identity:
    def __init__(self, config: dict[str, Any]) -> None:
        self._privileged: bool = config['privileged']
        self._state_path: str = config['state_path']
        self._hook_path: str = config['hook_path']
        self._base_environment: dict[str, str] = config['environment']
        self._environment: dict[str, str] = {}
        self._secret: str | None = None
        self._load()

    @property
    def claimed(self) -> bool:
        return self._secret is not None

    @property
    def environment(self) -> dict[str, str]:
        return {**self._base_environment, **self._environment}

    def check(self, request: dict[str, Any]) -> None:
        """Raises Unauthorized unless the request carries the secret; nothing passes before there is one."""
        given = request.get('secret')
        if not isinstance(given, str) or self._secret is None:
            raise Unauthorized
        if not equal_in_constant_time(given.encode(errors='replace'), self._secret.encode()):
            raise Unauthorized

    def identify(self, request: dict[str, Any]) -> dict[str, Any]:
        """Takes the new identity. Returns the answer; raises BadRequest, Unauthorized or IdentifyFailed."""
        restored = self.claimed
        if restored:
            self.check(request)
        secret = fields.required_text(request, 'new_secret')
        if len(secret) < MIN_SECRET_CHARACTERS or not secret.isascii():
            raise fields.BadRequest(f'new_secret must have at least {MIN_SECRET_CHARACTERS} ASCII characters')
        nonce = fields.required_text(request, 'nonce')
        seed = fields.base64_bytes(request, 'seed', MIN_SEED_BYTES)
        unix_time_ns = fields.nanoseconds(request, 'unix_time_ns')
        hostname = fields.text(request, 'hostname')
        machine_id = fields.text(request, 'machine_id')
        environment = fields.string_map(request, 'env')
        hook_seconds = fields.seconds(request, 'hook_timeout_secs', DEFAULT_HOOK_SECONDS)
        if self._privileged:
            _apply(seed, unix_time_ns, hostname, machine_id)
        self._secret = secret
        self._environment = environment
        self._save()
        return {
            'nonce': nonce,
            'hostname': socket.gethostname(),
            'restored': restored,
            'hook': self._run_hook(hook_seconds) if restored else None,
        }

    def _run_hook(self, timeout_seconds: float | None) -> dict[str, Any] | None:
        """How the image's hook ended: None without one, else {exit_code} or {error}."""
        if not os.access(self._hook_path, os.X_OK):
            return None
        try:
            hook = subprocess.Popen(
                [self._hook_path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=self.environment,
                cwd='/',
                start_new_session=True,
            )
        except OSError as error:
            return {'error': str(error)}
        try:
            return {'exit_code': hook.wait(timeout_seconds)}
        except subprocess.TimeoutExpired:
            os.killpg(hook.pid, signal.SIGKILL)
            hook.wait()
            return {'error': f'killed after {timeout_seconds} seconds'}

    def set_clock(self, unix_time_ns: int) -> None:
        """The wall clock alone, as a pause has left it behind. Raises OSError."""
        if self._privileged:
            time.clock_settime_ns(time.CLOCK_REALTIME, unix_time_ns)

    def _load(self) -> None:
        try:
            with open(self._state_path) as file:
                state = json.load(file)
            self._secret = state['secret']
            self._environment = state['env']
        except FileNotFoundError:
            pass

    def _save(self) -> None:
        temporary = f'{self._state_path}.new'
        os.makedirs(os.path.dirname(temporary), mode=0o700, exist_ok=True)
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w') as file:
            json.dump({'secret': self._secret, 'env': self._environment}, file)
        os.replace(temporary, self._state_path)


def _apply(seed: bytes, unix_time_ns: int, hostname: str | None, machine_id: str | None) -> None:
    try:
        _reseed(seed)
        time.clock_settime_ns(time.CLOCK_REALTIME, unix_time_ns)
        if hostname is not None:
            socket.sethostname(hostname)
            _replace('/etc/hostname', f'{hostname}\n')
            _replace('/etc/hosts', f'127.0.0.1 localhost\n127.0.1.1 {hostname}\n::1 localhost ip6-localhost\n')
        if machine_id is not None:
            _replace('/etc/machine-id', f'{machine_id}\n')
    except OSError as error:
        raise IdentifyFailed(str(error)) from error


def _reseed(seed: bytes) -> None:
    with open('/dev/urandom', 'wb', buffering=0) as device:
        fcntl.ioctl(device, RNDADDENTROPY, struct.pack('ii', len(seed) * 8, len(seed)) + seed)
        fcntl.ioctl(device, RNDRESEEDCRNG)


def _replace(path: str, text: str) -> None:
    with open(f'{path}.bough', 'w') as file:
        file.write(text)
    os.replace(f'{path}.bough', path)
