"""Frames, in which output comes with every byte as it was printed: one byte kind, four bytes length (big-endian), payload."""

from __future__ import annotations

import codecs
import json
import struct
from collections.abc import Generator
from typing import Any, NamedTuple, Optional

from . import records
from ._message import refusal

FRAMES_TYPE = "application/vnd.bough.frames"
STDIN, STDOUT, STDERR, PTY, EVENT, CONTROL, END = 2, 3, 4, 5, 7, 8, 9
_HEADER = struct.Struct(">BI")
_TYPES: dict[int, Any] = {STDOUT: "stdout", STDERR: "stderr", PTY: "pty"}


class Frame(NamedTuple):
    """A frame that came."""

    kind: int
    payload: bytes


def encode_frame(kind: int, payload: bytes) -> bytes:
    """The frame as bytes."""
    return _HEADER.pack(kind, len(payload)) + payload


class FrameDecoder:
    """Turns pieces of bytes into frames, whatever their boundaries."""

    def __init__(self) -> None:
        self._held = bytearray()

    def push(self, data: bytes) -> Generator[Frame, None, None]:
        """The frames that the next bytes complete; to be taken whole."""
        self._held += data
        at = 0
        while len(self._held) - at >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._held, at)
            end = at + _HEADER.size + length
            if len(self._held) < end:
                break
            yield Frame(kind, bytes(self._held[at + _HEADER.size : end]))
            at = end
        del self._held[:at]


class OutputReader:
    """Reads frames one after the other: of one program, since a character may be cut in two."""

    def __init__(self) -> None:
        self._decoders = {"stdout": _decoder(), "stderr": _decoder(), "pty": _decoder()}

    def of_process(self, frame: Frame) -> Optional[records.ProcessOutput]:
        """What a frame of a kept process says; None when it only says that the other side is there."""
        if frame.kind == END:
            return {"type": "end", "process": _end_in(frame)}
        if frame.kind != EVENT:
            return self._printed(frame)
        event = json.loads(frame.payload)
        if "started" in event:
            return {"type": "started", "process": event["started"]}
        return self._gap(event["gap"]) if "gap" in event else None

    def of_exec(self, frame: Frame) -> Optional[records.ExecOutput]:
        """What a frame of an exec says, likewise."""
        if frame.kind != END:
            return self._printed(frame)
        return {"type": "end", "exit_code": _end_in(frame)["exit_code"]}

    def _printed(self, frame: Frame) -> Optional[records.OutputBytes]:
        kind = _TYPES.get(frame.kind)
        if kind is None:
            return None
        return {"type": kind, "data": frame.payload, "text": self._decoders[kind].decode(frame.payload)}

    def _gap(self, gap: Any) -> records.OutputGap:
        # What was cut in two is not made whole by what comes after a gap.
        for stream in (gap["stream"], "pty") if gap["stream"] == "stdout" else (gap["stream"],):
            self._decoders[stream] = _decoder()
        return {"type": "gap", "stream": gap["stream"], "bytes": gap["bytes"]}


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("replace")


def _end_in(frame: Frame) -> Any:
    end = json.loads(frame.payload)
    if "error" in end:
        raise refusal(end["error"]["message"], status=200, code=end["error"]["code"])
    return end
