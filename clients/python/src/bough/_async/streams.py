"""Streams as the client's verbs give them: taken up again where they were cut off, or read once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, TypeVar, Union

from .._async_transport import AsyncTransport
from .._frames import FRAMES_TYPE, FrameDecoder, OutputReader
from .._message import refusal
from .._sources import LINES_TYPE, Lines, Loss, Source
from ..errors import BoughUnreachable, ShuttingDown
from ..records import ExecOutput, FileEntry, NetworkLogLine, ProcessOutput, WatchNews
from ..requests import StreamOptions

T = TypeVar("T")
Params = Mapping[str, Union[str, int]]


async def reconnected(transport: AsyncTransport, source: Source[T], options: StreamOptions) -> AsyncGenerator[T, None]:
    """All of a stream, opened again after each loss."""
    loss = Loss(options.get("reconnect_secs"))
    calling = {name: value for name, value in options.items() if name != "reconnect_secs"}
    while True:
        problem: Exception = BoughUnreachable(transport.url, "the stream was cut off", may_have_happened=True)
        try:
            stream = await transport.open(source.route, source.params, {**calling, **source.given}, source.accept)
            loss.found()
            source.begin()
            try:
                while data := await stream.read():
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
        await transport.sleep(loss.delay_secs(problem), options.get("cancel"))


async def process_pieces(
    transport: AsyncTransport, params: Params, given: Mapping[str, object]
) -> AsyncGenerator[ProcessOutput, None]:
    """A process that is started with the stream of its output."""
    stream = await transport.open("startProcess", params, given, FRAMES_TYPE)
    decoder, reader = FrameDecoder(), OutputReader()
    try:
        while data := await stream.read():
            for frame in decoder.push(data):
                piece = reader.of_process(frame)
                if piece is not None:
                    yield piece
    finally:
        stream.close()


async def exec_pieces(
    transport: AsyncTransport, params: Params, given: Mapping[str, object]
) -> AsyncGenerator[ExecOutput, None]:
    """An exec as it prints."""
    stream = await transport.open("exec", params, given, FRAMES_TYPE)
    decoder, reader = FrameDecoder(), OutputReader()
    try:
        while data := await stream.read():
            for frame in decoder.push(data):
                piece = reader.of_exec(frame)
                if piece is not None:
                    yield piece
    finally:
        stream.close()


async def answer_pieces(
    transport: AsyncTransport, route: str, params: Params, given: Mapping[str, object]
) -> AsyncGenerator[bytes, None]:
    """The bytes of an answer."""
    stream = await transport.open(route, params, given, "*/*")
    try:
        while data := await stream.read():
            yield data
    finally:
        stream.close()


async def folder_entries(
    transport: AsyncTransport, params: Params, given: Mapping[str, object]
) -> AsyncGenerator[FileEntry, None]:
    """What is in a folder."""
    async for line in _lines_to_end(transport, "listFolder", params, given):
        yield line["entry"]


def watch_news(
    transport: AsyncTransport, params: Params, given: Mapping[str, object]
) -> AsyncGenerator[WatchNews, None]:
    """What changes."""
    return _lines_to_end(transport, "watchFiles", params, given)


async def _lines_to_end(
    transport: AsyncTransport, route: str, params: Params, given: Mapping[str, object]
) -> AsyncGenerator[Any, None]:
    """Lines of a stream that says when it is over, without that, and without those that only say that it is not."""
    stream = await transport.open(route, params, given, LINES_TYPE)
    lines = Lines()
    try:
        while data := await stream.read():
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


async def log_lines(
    transport: AsyncTransport, params: Params, given: Mapping[str, object]
) -> AsyncGenerator[NetworkLogLine, None]:
    """The log of a network."""
    stream = await transport.open("networkLog", params, given, LINES_TYPE)
    lines = Lines()
    try:
        while data := await stream.read():
            for line in lines.push(data):
                yield line
    finally:
        stream.close()
