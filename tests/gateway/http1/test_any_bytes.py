"""Arbitrary bytes, and valid requests of which some bytes are changed, in any pieces: no exception escapes, answers are
counted, little is kept, and every connection ends or waits for more."""

import asyncio
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.http1.connection import MAX_AHEAD, SLICE_BYTES, Http1Connection
from gateway.http1.heads import AcceptedHeads
from gateway.http1.reader import MAX_HEADER_BYTES
from tests.gateway.http1.serving import LIMIT, Mirror, get, post
from tests.support.histories import history_settings

VALID = [
    get("/a?b=c", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 2.2.2.2"),
    get("/held"),
    get("/", "Connection: close"),
    get("/", "Connection: keep-alive", version="1.0"),
    get("/", "Connection: Upgrade", "Upgrade: h2c"),
    get("*").replace(b"GET", b"OPTIONS", 1),
    post(b"abc"),
    post(b"abc", "Expect: 100-continue"),
    post(b"x" * 9_000, "Authorization: good"),
    post(b"x" * 9_000),
    post(b"x" * 5_000, "Connection: Upgrade", "Upgrade: h2c"),
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nUpgrade: x\r\nConnection: upgrade\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
]
PIECES = [
    b"\r\n",
    b"\r",
    b"\n",
    b" ",
    b":",
    b"\x00",
    b"\xff",
    b"%",
    b"%ff",
    b"HTTP/",
    b"Content-Length: 3\r\n",
    b"a: b\r\n" * 200,
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Several requests of which bytes were replaced, removed or inserted."""
    data = b"".join(draw(st.lists(st.sampled_from(VALID), min_size=1, max_size=6)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        piece = draw(st.sampled_from(PIECES) | st.binary(max_size=4))
        data = data[:start] + piece + data[start + draw(st.integers(0, 5)) :]
    return data


class RecordingTransport(asyncio.Transport):
    """What a connection does with its transport."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1)})
        self.written = bytearray()
        self.reads, self.closes, self.ends = True, False, False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def write(self, data: Any) -> None:
        assert not self.ends
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ends = True

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return self.closes

    def close(self) -> None:
        self.closes = True

    abort = close


@st.composite
def pieces(draw: st.DrawFn) -> list[bytes]:
    """What arrives at once: mostly single requests with equal heads, and parts of requests."""
    whole = st.builds(post, st.sampled_from([b"abc", b"xyz", b"\r\n\r\n", b"GET"]), st.sampled_from(LINES))
    broken = st.builds(bytes.replace, whole, st.sampled_from([b"\r\n", b" ", b"3"]), st.sampled_from(PIECES))
    data = b"".join(draw(st.lists(st.one_of(whole, st.sampled_from(VALID), broken, mutated()), max_size=3)))
    at = draw(st.integers(0, len(data)))
    return [*draw(st.lists(st.one_of(whole, broken, st.just(data)), max_size=4)), data[:at], data[at:]]


LINES = ["A: b", "A: c", "Connection: close", "Connection: keep-alive", "Expect: 100-continue", "Upgrade: h2c"]


def answers(mirror: Mirror, arrivals: list[bytes]) -> bytes:
    transport = RecordingTransport()
    connection = Http1Connection(mirror, set())
    connection.connection_made(transport)
    for data in arrivals:
        connection.data_received(data)
        mirror.release()
    return bytes(transport.written)


def without_dates(written: bytes) -> bytes:
    return re.sub(rb"Date: .*\r\n", b"", written)


@history_settings(500)
@given(first=pieces(), second=pieces())
def test_stored_heads_change_no_answer(first: list[bytes], second: list[bytes]) -> None:
    """Two connections, with heads from the first one."""
    heads = AcceptedHeads()
    for arrivals in (first, second, second):
        assert without_dates(answers(Mirror(heads), arrivals)) == without_dates(answers(Mirror(), arrivals))


@history_settings(500)
@given(data=st.one_of(mutated(), st.binary(max_size=200)), size=st.integers(1, 20_000), steps=st.lists(st.booleans()))
def test_any_bytes_are_answered_refused_or_waited_for(data: bytes, size: int, steps: list[bool]) -> None:
    mirror, transport, connections = Mirror(), RecordingTransport(), set[Http1Connection]()
    connection = Http1Connection(mirror, connections)
    connection.connection_made(transport)
    releases = iter(steps)
    for start in range(0, len(data), size):
        connection.data_received(data[start : start + size])
        assert len(connection._ahead) <= MAX_AHEAD + SLICE_BYTES // 18
        assert len(connection._reader._url) + sum(map(len, connection._reader._meta.values())) <= 2 * MAX_HEADER_BYTES
        assert sum(map(len, connection._reader._body)) <= LIMIT
        if next(releases, True):
            mirror.release()
    while mirror._held:
        mirror.release()
    assert b"500 Internal" not in transport.written
    assert_ends_or_waits(connection, transport)
    end(connection, transport)
    assert transport.closes


def assert_ends_or_waits(connection: Http1Connection, transport: RecordingTransport) -> None:
    assert transport.closes or transport.ends or transport.reads
    assert not connection._ahead
    if not transport.closes and not transport.ends:
        assert not connection._unread


def end(connection: Http1Connection, transport: RecordingTransport) -> None:
    """The time of the connection is over; the second time ends it after a refusal."""
    for _ in range(2):
        if not transport.closes:
            connection.expire(connection._ends)
