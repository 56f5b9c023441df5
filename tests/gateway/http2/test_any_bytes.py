"""Whatever bytes arrive, the connection answers, waits or closes; nothing escapes, and memory is bounded."""

import asyncio
import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http2 import frames
from gateway.http2.bounds import Bounds
from gateway.http2.calls import Call, Methods
from gateway.http2.connection import Http2Connection
from gateway.http2.frames import frame
from tests.gateway.http2.peer import GRPC, Encoder, message

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
BOUNDS = Bounds(streams=4, message=1_000, buffered=4_000, unsent=8_000, overhead=50)


class Transport:
    """Takes what is written, and remembers whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1)

    def pause_reading(self) -> None:
        """Nothing to do."""

    resume_reading = pause_reading


def echo(call: Call, content: bytes) -> None:
    call.reply(content)


def hold(call: Call, content: bytes) -> None:
    """Never answers."""


SERVICE = Methods({"/t/echo": echo, "/t/hold": hold})
BLOCKS = [Encoder().encode(list((GRPC | {":path": path}).items())) for path in ("/t/echo", "/t/hold", "/t/nothing")]

numbers = st.sampled_from([0, 1, 2, 3, 5, 7, 2**31 - 1])
payloads = st.one_of(st.binary(max_size=64), st.sampled_from([*BLOCKS, message(b"hello"), message(b"x" * 2_000)]))
valid_frames = st.builds(frame, st.integers(0, 9), st.integers(0, 255), numbers, payloads)
calls = st.builds(
    lambda stream, block, content: frame(1, 4, stream, block) + frame(0, 1, stream, message(content)),
    st.sampled_from([1, 3, 5, 7, 9]),
    st.sampled_from(BLOCKS),
    st.binary(max_size=100),
)
streams = st.lists(st.one_of(valid_frames, calls, st.binary(max_size=64)), max_size=30).map(b"".join)
GREETING = frames.PREFACE + frame(frames.SETTINGS, 0, 0)


async def fed(data: bytes, cut: int) -> tuple[Http2Connection, Transport]:
    transport, connections = Transport(), set[Http2Connection]()
    connection = Http2Connection(SERVICE, BOUNDS, connections)
    connection.connection_made(transport)  # type: ignore[arg-type]
    for at in range(0, len(data), cut):
        if not transport.closed:
            connection.data_received(data[at : at + cut])
    await asyncio.sleep(0)
    return connection, transport


@settings(max_examples=EXAMPLES, deadline=None)
@given(greeting=st.sampled_from([GREETING, b""]), data=streams, cut=st.sampled_from([1, 7, 100_000]))
def test_any_bytes(greeting: bytes, data: bytes, cut: int) -> None:
    loop = asyncio.new_event_loop()
    try:
        connection, transport = loop.run_until_complete(fed(greeting + data, cut))
        assert len(connection.calls) <= BOUNDS.streams
        assert connection.buffered <= BOUNDS.buffered + BOUNDS.message
        assert len(connection.rest) < 20_000
        assert transport.closed == connection.closing
        connection.connection_lost(None)
        assert not connection.calls
    finally:
        loop.close()
