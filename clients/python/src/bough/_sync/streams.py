# Made from ../_async by scripts/make_sync.py; do not edit.
"""Streams as the client's verbs give them: taken up again where they were cut off, or read once."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, TypeVar, Union

from .._transport import Transport
from .._frames import FRAMES_TYPE, FrameDecoder, OutputReader
from .._message import refusal
from .._sources import LINES_TYPE, Lines, Loss, Source
from ..errors import BoughUnreachable, ShuttingDown
from ..records import ExecOutput, FileEntry, NetworkLogLine, ProcessOutput, WatchNews
from ..requests import StreamOptions

T = TypeVar("T")
Params = Mapping[str, Union[str, int]]


def reconnected(transport: Transport, source: Source[T], options: StreamOptions) -> Generator[T, None, None]:
    """All of a stream, opened again after each loss."""
    loss = Loss(options.get("reconnect_secs"))
    calling = {name: value for name, value in options.items() if name != "reconnect_secs"}
    while True:
        problem: Exception = BoughUnreachable(transport.url, "the stream was cut off", may_have_happened=True)
        try:
            stream = transport.open(source.route, source.params, {**calling, **source.given}, source.accept)
            loss.found()
            source.begin()
            try:
                while data := stream.read():
                    for item in source.items(data):
                        loss.is_over()
                        yield item
                        if source.is_last(item):
                            return
            finally:
                stream.close()
            if source.may_be_over and loss.ended():
                return
        except (BoughUnreachable, ShuttingDown) as error:
            problem = error
        transport.sleep(loss.delay_secs(problem), options.get("cancel"))


def process_pieces(
    transport: Transport, params: Params, given: Mapping[str, object]
) -> Generator[ProcessOutput, None, None]:
    """A process that is started with the stream of its output."""
    stream = transport.open("startProcess", params, given, FRAMES_TYPE)
    decoder, reader = FrameDecoder(), OutputReader()
    try:
        while data := stream.read():
            for frame in decoder.push(data):
                piece = reader.of_process(frame)
                if piece is not None:
                    yield piece
    finally:
        stream.close()


def exec_pieces(
    transport: Transport, params: Params, given: Mapping[str, object]
) -> Generator[ExecOutput, None, None]:
    """An exec as it prints."""
    stream = transport.open("exec", params, given, FRAMES_TYPE)
    decoder, reader = FrameDecoder(), OutputReader()
    try:
        while data := stream.read():
            for frame in decoder.push(data):
                piece = reader.of_exec(frame)
                if piece is not None:
                    yield piece
    finally:
        stream.close()


def answer_pieces(
    transport: Transport, route: str, params: Params, given: Mapping[str, object]
) -> Generator[bytes, None, None]:
    """The bytes of an answer."""
    stream = transport.open(route, params, given, "*/*")
    try:
        while data := stream.read():
            yield data
    finally:
        stream.close()


def folder_entries(
    transport: Transport, params: Params, given: Mapping[str, object]
) -> Generator[FileEntry, None, None]:
    """What is in a folder."""
    for line in _lines_to_end(transport, "listFolder", params, given):
        yield line["entry"]


def watch_news(
    transport: Transport, params: Params, given: Mapping[str, object]
) -> Generator[WatchNews, None, None]:
    """What changes."""
    return _lines_to_end(transport, "watchFiles", params, given)


def _lines_to_end(
    transport: Transport, route: str, params: Params, given: Mapping[str, object]
) -> Generator[Any, None, None]:
    """Lines of a stream that says when it is over, without that, and without those that only say that it is not."""
    stream = transport.open(route, params, given, LINES_TYPE)
    lines = Lines()
    try:
        while data := stream.read():
            for line in lines.push(data):
                if line["type"] == "end":
                    return
                if line["type"] == "error":
                    raise refusal(line["error"], status=200, code=line["code"])
                if line["type"] != "keepalive":
                    yield line
    finally:
        stream.close()
    raise BoughUnreachable(transport.url, "the stream was cut off", may_have_happened=True)


def log_lines(
    transport: Transport, params: Params, given: Mapping[str, object]
) -> Generator[NetworkLogLine, None, None]:
    """The log of a network."""
    stream = transport.open("networkLog", params, given, LINES_TYPE)
    lines = Lines()
    try:
        while data := stream.read():
            for line in lines.push(data):
                yield line
    finally:
        stream.close()
