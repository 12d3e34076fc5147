"""The answer to one call as it comes, on a connection of its own.

Who reads slowly makes the daemon wait. A deadline here is for silence: it begins again with every piece.
"""

from __future__ import annotations

import http.client
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from ._connection import Connection, ConnectionLost, Deadline, answer_of, problem_of
from ._message import Call, read_answer
from .cancel import Cancel
from .errors import BoughTimeout, BoughUnreachable

_PIECE_BYTES = 64 << 10


class Stream:
    """Bytes of an answer that is a success. `cancel` ends it from elsewhere."""

    def __init__(self, url: str, connection: Connection, call: Call, deadline: Deadline, cancel: Cancel) -> None:
        """Opens it. Raises BoughApiError, BoughUnreachable, BoughTimeout, BoughCancelled."""
        self._url = url
        self._connection = connection
        self._deadline = deadline
        self._cancel = cancel
        self._held = ExitStack()
        self._held.enter_context(cancel.watching(connection.wake))
        with self._telling():
            self._response = connection.open(call, deadline, cancel)
            self._held.callback(self._response.close)
            if not self._is_begun(self._response):
                read_answer(answer_of(self._response))
                raise http.client.HTTPException(f"an answer of status {self._response.status} is no stream")

    def _is_begun(self, response: http.client.HTTPResponse) -> bool:
        return response.status == 200

    def read(self) -> bytes:
        """What comes next; nothing at the end."""
        self._deadline.restart()
        with self._telling():
            piece = self._next()
        if not piece:
            self.close()
        return piece

    def _next(self) -> bytes:
        piece = self._response.read1(_PIECE_BYTES)
        # Reading in pieces, http.client takes an end for the end, whatever length was announced.
        if not piece and self._response.length:
            raise http.client.IncompleteRead(b"", self._response.length)
        return piece

    def close(self) -> None:
        """Ends it, at the daemon too. Idempotent."""
        self._connection.close()
        self._held.close()

    @contextmanager
    def _telling(self) -> Generator[None, None, None]:
        """Closes it on any failure, and says what that means."""
        try:
            yield
        except (OSError, http.client.HTTPException, ConnectionLost) as error:
            self.close()
            self._cancel.check()
            if isinstance(error, BoughTimeout):
                raise
            self._deadline.remaining_secs()
            if isinstance(error, ConnectionLost):
                raise BoughUnreachable(self._url, error.problem, may_have_happened=error.was_sent) from error
            raise BoughUnreachable(self._url, problem_of(error), may_have_happened=True) from error
        except BaseException as error:
            self.close()
            if isinstance(error, Exception):
                self._cancel.check()
            raise
