"""A server that does to its clients what the test says, byte by byte."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Callable, Optional


class Peer:
    """One connection, as the server sees it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def request(self) -> bytes:
        """Reads one whole request; empty when the client has left."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self._receive()
            if not piece:
                return b""
            data += piece
        head, body = data.split(b"\r\n\r\n", 1)
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(body) < length:
            body += self._receive()
        return head + b"\r\n\r\n" + body

    def _receive(self) -> bytes:
        try:
            return self.sock.recv(65536)
        except OSError:
            return b""

    def send(self, data: bytes) -> None:
        """Sends, if anyone is there to hear it."""
        try:
            self.sock.sendall(data)
        except OSError:
            pass

    def answer(self, body: bytes = b"{}", status: str = "200 OK", content_type: str = "application/json") -> None:
        """Answers as the daemon would."""
        head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.send(head.encode() + body)

    def reset(self) -> None:
        """Ends the connection the hard way, as a killed process's kernel does when there is unread data."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


class FakeServer:
    """Gives each connection, numbered from 0, to `behave`; closes it when that returns."""

    def __init__(self, behave: Callable[[Peer, int], None]) -> None:
        self._behave = behave
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._peers: list[socket.socket] = []
        self.connection_count = 0
        #: Released once for each connection that has been closed from here.
        self.closed = threading.Semaphore(0)
        self.requests: list[bytes] = []
        self.url = "http://127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            number = self.connection_count
            self.connection_count += 1
            self._peers.append(sock)
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        with sock:
            self._behave(Peer(sock), number)
        self.closed.release()

    def __enter__(self) -> FakeServer:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._listener.close()
        for sock in self._peers:
            sock.close()


def always(body: bytes, status: str = "200 OK", content_type: str = "application/json") -> Callable[[Peer, int], None]:
    """Answers every request alike."""

    def behave(peer: Peer, _number: int) -> None:
        while peer.request():
            peer.answer(body, status, content_type)

    return behave


def raw(data: bytes) -> Callable[[Peer, int], None]:
    """Sends these bytes after a request, and ends."""

    def behave(peer: Peer, _number: int) -> None:
        peer.request()
        peer.send(data)

    return behave
