"""Whatever bytes arrive, the connection answers, waits or ends: no exception escapes, and memory is bounded."""

import asyncio
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hpack import Decoder
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.http2 import frames
from gateway.http2.bounds import Bounds
from gateway.http2.calls import Call, Methods
from gateway.http2.connection import Http2Connection
from gateway.http2.frames import FRAME_SIZE, SETTING, frame
from gateway.http2.sending import RESET
from tests.gateway.http2.peer import GRPC, Encoder, message, parsed
from tests.support.histories import history_settings

BOUNDS = Bounds(streams=4, message=1_000, buffered=2_500, unsent=8_000, overhead=30, header_list=2_000)
SETTINGS = frame(frames.SETTINGS, 0, 0)
SIZE = struct.Struct(">I")


class Transport:
    """Records what is written. Its buffer is full after ``capacity`` bytes, until the test empties it."""

    def __init__(self, capacity: int) -> None:
        self.written, self.capacity, self.ended, self.reading = b"", capacity, False, True

    def write(self, data: bytes) -> None:
        assert not self.ended
        self.written += data

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.ended = True

    abort = close

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1)

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True


class Service:
    """Methods that answer at once, later, several times, not at all, or with an error."""

    def __init__(self) -> None:
        self.held: list[Call] = []
        unary = {
            "/echo": lambda call, content: call.reply(content),
            "/many": lambda call, content: [call.send(content * 3), call.reply(content), call.send(content)],
            "/hold": lambda call, content: self.held.append(call),
            "/fail": lambda call, content: [call.fail(7, content.decode("latin-1")), call.reply(content)],
            "/raise": lambda call, content: 1 // 0,
        }
        self.methods = Methods(unary, {"/chat": self._chat})

    def _chat(self, call: Call) -> None:
        call.on_message, call.on_end, call.on_cancel = call.send, call.close, lambda: call.close()


PATHS = ["/echo", "/many", "/hold", "/fail", "/raise", "/chat", "/nothing"]
FIELDS = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            ":path": st.sampled_from([*PATHS, ""]),
            ":method": st.sampled_from(["POST", "GET"]),
            "content-type": st.sampled_from(["application/grpc", "application/grpc+proto", "text/plain"]),
            "content-length": st.sampled_from(["10", "0", "x", "9" * 20]),
            "grpc-timeout": st.sampled_from(["1S", "100m", "999999999H", "", "1x"]),
            "te": st.sampled_from(["trailers", "gzip"]),
            "x-any": st.text(st.characters(max_codepoint=255), max_size=20),
        },
    ),
    st.just({}),
)
ODD = st.dictionaries(st.text(st.characters(max_codepoint=127), max_size=5), st.text(max_size=5), max_size=3)
STREAMS = st.sampled_from([1, 1, 3, 3, 5, 7, 9, 11, 0, 2, 2**31 - 1])
MESSAGES = st.one_of(
    st.integers(0, 1_200).map(lambda size: message(bytes(size))),
    st.binary(max_size=12).map(message),
    st.builds(message, st.binary(max_size=5), st.integers(0, 255)),
    st.binary(max_size=12),
)
PAIRS = st.tuples(st.integers(0, 8), st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 5, 100, 16_384])))
NUMBERS = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 10, 1_000, 2**31 - 1])).map(SIZE.pack)
STEPS = st.one_of(
    st.tuples(st.just("call"), STREAMS, FIELDS, MESSAGES),
    st.tuples(st.just("call"), STREAMS, FIELDS, MESSAGES),
    st.tuples(st.just("headers"), STREAMS, FIELDS, st.integers(0, 63), st.integers(0, 40)),
    st.tuples(st.just("odd"), STREAMS, ODD),
    st.tuples(st.just("data"), STREAMS, MESSAGES, st.integers(0, 9), st.integers(0, 1_300)),
    st.tuples(st.just("settings"), st.lists(PAIRS, max_size=3)),
    st.tuples(st.just("frame"), st.just(frames.WINDOW_UPDATE), st.just(0), STREAMS, NUMBERS),
    st.tuples(st.just("frame"), st.just(frames.RST_STREAM), st.just(0), STREAMS, NUMBERS),
    st.tuples(st.just("frame"), st.integers(0, 11), st.integers(0, 255), STREAMS, st.binary(max_size=20)),
    st.tuples(st.just("bytes"), st.binary(max_size=30)),
    st.tuples(st.sampled_from(["answer", "empty", "tick", "drain"])),
)


class History:
    """One connection with a valid beginning, and a peer whose compression is valid as long as it is not damaged."""

    def __init__(self, cuts: int, capacity: int) -> None:
        self.service, self.transport, self.encoder, self.cuts = Service(), Transport(capacity), Encoder(), cuts
        self.connection = Http2Connection(self.service.methods, BOUNDS, set())
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]

    def run(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("answer",):
                for call in self.service.held:
                    call.reply(b"x" * 900)
                self.service.held.clear()
            case ("empty",) if not self.transport.reading:
                self.transport.capacity += 10_000
                self.connection.resume_writing()
            case ("empty",):
                pass
            case ("tick",):
                self.connection._compare_times()
            case ("drain",):
                self.connection.drain()
            case _:
                self.feed(self.encoded(step))

    def encoded(self, step: tuple[Any, ...]) -> bytes:
        match step:
            case ("call", stream, fields, content):
                block = self.encoder.encode(list((GRPC | {":path": "/echo"} | fields).items()))
                return frame(frames.HEADERS, 4, stream, block) + frame(frames.DATA, 1, stream, content)
            case ("headers", stream, fields, flags, cut):
                block = self.encoder.encode(list((GRPC | {":path": "/hold"} | fields).items()))
                more = b"" if flags & 4 else frame(frames.CONTINUATION, 4, stream, block[cut:])
                return frame(frames.HEADERS, flags, stream, block if flags & 4 else block[:cut]) + more
            case ("odd", stream, fields):
                return frame(frames.HEADERS, 5, stream, self.encoder.encode(list(fields.items())))
            case ("data", stream, content, flags, cut):
                return frame(frames.DATA, flags, stream, content[:cut])
            case ("settings", pairs):
                return frame(frames.SETTINGS, 0, 0, b"".join(SETTING.pack(*pair) for pair in pairs))
            case ("frame", kind, flags, stream, payload):
                return frame(kind, flags, stream, payload)
            case ("bytes", data):
                return bytes(data)
        raise AssertionError(step)

    def feed(self, data: bytes) -> None:
        for at in range(0, len(data), self.cuts):
            if self.transport.reading:
                self.connection.data_received(data[at : at + self.cuts])
                self.check()

    def check(self) -> None:
        connection, calls = self.connection, list(self.connection.calls.values())
        if len(self.transport.written) > self.transport.capacity and self.transport.reading and not connection.closing:
            connection.pause_writing()
        assert len(connection.rest) < FRAME_SIZE + 9
        assert connection.block is None or len(connection.block) <= FRAME_SIZE + BOUNDS.header_list
        assert len(calls) <= BOUNDS.streams
        assert len(connection.reset) <= RESET
        assert connection.buffered == sum(len(call.buffer) for call in calls) <= BOUNDS.buffered
        assert connection.unsent == sum(len(call.unsent) for call in calls) <= BOUNDS.unsent
        assert all(call.stream in connection.waiting for call in calls if call.unsent)
        assert set(connection.waiting) <= set(connection.calls)
        assert 0 <= connection.window <= 2**31 - 1
        assert not any(call.closed for call in calls)

    def finish(self) -> None:
        """The peer is gone; everything that was written is frames and header blocks as they should be."""
        self.connection.connection_lost(None)
        assert not self.connection.calls
        assert self.connection.buffered == self.connection.unsent == 0
        decoder, ended, size = Decoder(), set(), 0
        for found in parsed(self.transport.written):
            size += 9 + len(found.payload)
            if found.kind == frames.HEADERS:
                decoder.decode(found.payload)
            if found.kind in (frames.HEADERS, frames.DATA):
                assert found.stream not in ended
                if found.flags & frames.END_STREAM:
                    ended.add(found.stream)
        assert size == len(self.transport.written)


def run(steps: list[tuple[Any, ...]], cuts: int, capacity: int, greeting: bytes) -> None:
    async def history() -> None:
        history = History(cuts, capacity)
        history.feed(greeting)
        for step in steps:
            history.run(step)
            history.check()
            await asyncio.sleep(0)
        history.finish()

    # Not in this thread: a browser test may have left a running loop in it.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(history())).result()


@history_settings(1_200)
@given(
    steps=st.lists(STEPS, max_size=25),
    cuts=st.sampled_from([1, 7, 10**6, 10**6]),
    capacity=st.sampled_from([0, 500, 10**6, 10**6]),
    greeting=st.sampled_from([frames.PREFACE + SETTINGS] * 8 + [b"", frames.PREFACE, SETTINGS]),
)
def test_any_frames(steps: list[tuple[Any, ...]], cuts: int, capacity: int, greeting: bytes) -> None:
    run(steps, cuts, capacity, greeting)


SAMPLE_FIELDS = [(name, value) for name, value in (GRPC | {":path": "/echo"}).items()]
SAMPLE = frames.PREFACE + SETTINGS + frame(frames.HEADERS, 4, 1, Encoder().encode(SAMPLE_FIELDS))
SAMPLE += frame(frames.DATA, 1, 1, message(b"hello")) + frame(frames.HEADERS, 0, 3, b"\x83\x86\xbf\x84")
SAMPLE += frame(frames.CONTINUATION, 4, 3, b"\x90\xc0") + frame(frames.PING, 0, 0, bytes(8))


@history_settings(1_200)
@given(
    changes=st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.binary(max_size=4), st.integers(0, 4)), max_size=6),
    cuts=st.sampled_from([1, 10**6]),
)
@example(changes=[], cuts=1)
def test_a_valid_beginning_with_changed_bytes(changes: list[tuple[int, bytes, int]], cuts: int) -> None:
    data = SAMPLE
    for at, inserted, removed in changes:
        data = data[:at] + inserted + data[at + removed :]
    run([("bytes", data)], cuts, 10**6, b"")


@history_settings(800)
@given(data=st.binary(max_size=200), cuts=st.sampled_from([1, 10**6]))
def test_any_header_block(data: bytes, cuts: int) -> None:
    blocks = frame(frames.HEADERS, 5, 1, data) + frame(frames.HEADERS, 5, 3, data)
    run([("bytes", blocks)], cuts, 10**6, frames.PREFACE + SETTINGS)
