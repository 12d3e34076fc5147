"""One connection of a client: reading its frames, sending it frames, and being told that it is gone.

A connection carries one operation. Three things end it early, and they differ:
  closed    the client closed it in good order: it wants no more, the operation is cancelled
  lost      reset: the client died, or this machine is a branch and the connection stayed with the source
  detached  identify gave this machine a new owner: connections of the old one are dead, what they started goes on
After `lost` the operation waits LOST_GRACE_SECONDS before it counts as cancelled: in a fresh branch the identify that
turns it into `detached` is on its way.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time

import frames

TYPE_CHECKING = False  # the module of that name would be loaded for it at each boot
if TYPE_CHECKING:
    from typing import Any

LOST_GRACE_SECONDS = 5
REQUEST_TIMEOUT_SECONDS = 15
CLOSE_TIMEOUT_SECONDS = 5
RECEIVE_BYTES = 64 << 10


class Session:
    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        self._decoder = frames.Decoder()
        self._outgoing = memoryview(b'')
        self.wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.detached = False
        self.closed = False
        self.lost = False

    def fileno(self) -> int:
        return self._socket.fileno()

    def read_request(self) -> dict[str, Any]:
        """Waits for the first frame. Raises OSError, TimeoutError or ProtocolError; the connection is then useless."""
        self._socket.settimeout(REQUEST_TIMEOUT_SECONDS)
        frame = self._decoder.next()
        while frame is None:
            chunk = self._socket.recv(RECEIVE_BYTES)
            if not chunk:
                raise ConnectionError('closed before a request')
            self._decoder.feed(chunk)
            frame = self._decoder.next()
        kind, payload = frame
        if kind != frames.REQUEST:
            raise frames.ProtocolError('first frame is not a request')
        self._socket.setblocking(False)
        return frames.parse_request(payload)

    @property
    def usable(self) -> bool:
        return not (self.closed or self.lost or self.detached)

    def next_frame(self) -> tuple[int, bytes] | None:
        return self._decoder.next()

    def receive(self) -> None:
        """Takes what has arrived; sets `closed` or `lost` when the connection ended."""
        try:
            chunk = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.lost = True
            return
        if chunk:
            self._decoder.feed(chunk)
        else:
            self.closed = True

    @property
    def sending(self) -> bool:
        return len(self._outgoing) > 0

    def queue(self, encoded: bytes) -> None:
        """Takes one encoded frame to send; call only when nothing is being sent, which is what bounds memory."""
        self._outgoing = memoryview(encoded)
        self.flush()

    def flush(self) -> None:
        while self.sending and self.usable:
            try:
                self._outgoing = self._outgoing[self._socket.send(self._outgoing) :]
            except BlockingIOError:
                return
            except OSError:
                self.lost = True
        if not self.usable:
            self._outgoing = memoryview(b'')

    def finish(self, end: dict[str, Any], timeout_seconds: float = 30) -> None:
        """Sends what is queued and the last frame. A client that does not read it in time has had its chance."""
        self._drain(timeout_seconds)
        if self.usable:
            self.queue(frames.encode_json(frames.END, end))
            self._drain(timeout_seconds)
        self._await_close()

    def _drain(self, timeout_seconds: float) -> None:
        poll = self._poll(select.POLLOUT)
        while self.sending and self.usable:
            if not poll.poll(timeout_seconds * 1000):
                self.lost = True
            self.flush()

    def _await_close(self) -> None:
        """The client closes first: closing with its input unread would be a reset, which can overtake the last frame."""
        poll = self._poll(select.POLLIN)
        end = time.monotonic() + CLOSE_TIMEOUT_SECONDS
        while self.usable and time.monotonic() < end:
            poll.poll(CLOSE_TIMEOUT_SECONDS * 1000)
            self._decoder = frames.Decoder()
            self.receive()

    def wait(self, fd: int, timeout_seconds: float | None = None) -> bool:
        """Waits until fd is readable: True. False when the time is over or the client is gone for good."""
        poll = self._poll(select.POLLIN)
        poll.register(fd, select.POLLIN)
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while self.usable:
            ready = [ready_fd for ready_fd, _ in poll.poll(_milliseconds_until(deadline))]
            if fd in ready:
                return True
            if not ready:
                return False
            if self._socket.fileno() in ready:
                self.receive()
        if self.lost and not self.detached:
            readable(self.wake_fd, LOST_GRACE_SECONDS * 1000)
        return self.detached and readable(fd, _milliseconds_until(deadline))

    def _poll(self, socket_events: int) -> select.poll:
        poll = select.poll()
        poll.register(self._socket, socket_events)
        poll.register(self.wake_fd, select.POLLIN)
        return poll

    def detach(self) -> None:
        """Called from another thread: the client is no longer this machine's. The operation notices by wake_fd."""
        self.detached = True
        os.eventfd_write(self.wake_fd, 1)

    def close(self) -> None:
        if not self.usable:
            # A reset instead of FIN_WAIT: nobody is there to answer, and a dead connection must leave no timers behind.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self._socket.close()
        os.close(self.wake_fd)


def _milliseconds_until(deadline: float | None) -> float | None:
    return None if deadline is None else max(0, (deadline - time.monotonic()) * 1000 + 1)


def readable(fd: int, timeout_ms: float | None) -> bool:
    """Whether fd is or becomes readable within that time (None: however long it takes)."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(timeout_ms))
