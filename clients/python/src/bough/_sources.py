"""Streams that can be taken up again: from where each goes on, and what it brings. Pure.

Whoever opens one says from where, so nothing comes twice and nothing is missed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, Generic, Optional, TypeVar, Union

from . import records
from ._frames import FRAMES_TYPE, FrameDecoder, OutputReader

T = TypeVar("T")
LINES_TYPE = "application/x-ndjson"
RECONNECT_SECS = 30.0
_FIRST_DELAY_SECS = 0.05
_MAX_DELAY_SECS = 1.0


class Source(Generic[T]):
    """A stream of a route, with what is asked for first."""

    may_be_over = False
    """Whether it may be over without a last item: it is when it twice ends at once, and without a fault."""
    accept = LINES_TYPE

    def __init__(self, route: str, params: Mapping[str, Union[str, int]], given: Mapping[str, object]) -> None:
        self.route = route
        self.params = params
        self.given = dict(given)

    def begin(self) -> None:
        """Forgets what was cut off."""
        raise NotImplementedError

    def items(self, data: bytes) -> Iterator[T]:
        """What the next bytes complete."""
        raise NotImplementedError

    def is_last(self, item: T) -> bool:
        """Whether nothing follows: a stream that ends without was cut off."""
        raise NotImplementedError


class OutputSource(Source[records.ProcessOutput]):
    """The output of a process; moves its offsets along."""

    accept = FRAMES_TYPE

    def __init__(self, params: Mapping[str, Union[str, int]], starts: Mapping[str, int], follow: bool) -> None:
        super().__init__("processOutput", params, {"follow": follow})
        self._at = {"stdout": 0, "stderr": 0}
        for stream, offset in starts.items():
            self._move(stream, offset)
        self._reader = OutputReader()
        self._frames = FrameDecoder()

    def begin(self) -> None:
        self._frames = FrameDecoder()

    def items(self, data: bytes) -> Iterator[records.ProcessOutput]:
        for frame in self._frames.push(data):
            piece = self._reader.of_process(frame)
            if piece is None:
                continue
            if piece["type"] == "gap":
                self._move(piece["stream"], piece["bytes"])
            elif piece["type"] == "stdout" or piece["type"] == "stderr" or piece["type"] == "pty":
                self._move("stderr" if piece["type"] == "stderr" else "stdout", len(piece["data"]))
            yield piece

    def is_last(self, item: records.ProcessOutput) -> bool:
        return item["type"] == "end"

    def _move(self, stream: str, count: int) -> None:
        self._at[stream] += count
        self.given[f"{stream}_from"] = self._at[stream]


class EventSource(Source[records.Event]):
    """Events of all sandboxes, or those of one; goes on after the last one."""

    def __init__(self, params: Mapping[str, str], given: Mapping[str, object]) -> None:
        super().__init__("sandboxEvents" if params else "events", params, given)
        self.may_be_over = bool(params)
        self._lines = Lines()

    def begin(self) -> None:
        self._lines = Lines()

    def items(self, data: bytes) -> Iterator[records.Event]:
        for event in self._lines.push(data):
            self.given["from"] = event["id"]
            yield event

    def is_last(self, item: records.Event) -> bool:
        return self.may_be_over and item["event"] == "ended"


class Lines:
    """Turns pieces of bytes into the JSON of whole lines. Empty ones only say that the other side is there."""

    def __init__(self) -> None:
        self._held = b""

    def push(self, data: bytes) -> Iterator[Any]:
        """What the next bytes complete; to be taken whole."""
        *lines, self._held = (self._held + data).split(b"\n")
        for line in lines:
            if line.strip():
                yield json.loads(line)


class Loss:
    """The time since a stream was lost, and when it is tried again: at first soon, then less often."""

    def __init__(self, reconnect_secs: Optional[float]) -> None:
        self._reconnect_secs = RECONNECT_SECS if reconnect_secs is None else reconnect_secs
        self._was_there = False
        self._empty_ends = 0
        self.is_over()

    def is_over(self) -> None:
        """Something came."""
        self._end_secs: Optional[float] = None
        self._delay_secs = _FIRST_DELAY_SECS
        self._empty_ends = 0

    def found(self) -> None:
        """The daemon was there."""
        self._was_there = True

    def ended(self) -> bool:
        """It ended without a fault: whether twice so with nothing between."""
        self._empty_ends += 1
        return self._empty_ends == 2

    def delay_secs(self, problem: Exception) -> float:
        """How long to wait now. Raises `problem` when it is not to be tried again."""
        if self._end_secs is None:
            self._end_secs = time.monotonic() + self._reconnect_secs
        if not self._was_there or time.monotonic() >= self._end_secs:
            raise problem
        delay_secs, self._delay_secs = self._delay_secs, min(2 * self._delay_secs, _MAX_DELAY_SECS)
        return delay_secs
