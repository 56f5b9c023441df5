"""Rules of RFC 9113 and of gRPC that no well-behaved client breaks. h2spec tests the first more broadly."""

import struct
from collections.abc import Callable, Iterator

import pytest

from gateway.http2 import frames
from gateway.http2.frames import Code, frame
from tests.gateway.http2.conftest import Server
from tests.gateway.http2.peer import Peer, message
from tests.support.waiting import wait_until


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve()


@pytest.fixture
def peer(server: Server) -> Iterator[Peer]:
    with Peer(server.port) as connected:
        yield connected


def settings(*pairs: tuple[int, int]) -> bytes:
    return b"".join(struct.pack(">HI", *pair) for pair in pairs)


def test_an_answer_is_three_frames_with_constant_headers(peer: Peer) -> None:
    peer.ask(1, b"hello")
    assert peer.fields() == {":status": "200", "content-type": "application/grpc"}
    assert peer.next(frames.DATA).payload == message(b"hello")
    assert peer.fields() == {"grpc-status": "0"}


def test_settings_announce_the_bounds(peer: Peer) -> None:
    found = peer.next(frames.SETTINGS)
    assert settings((frames.MAX_STREAMS, 100), (frames.MAX_HEADER_LIST, 16_384)) == found.payload


def test_a_failure_without_a_message_is_one_frame(peer: Peer) -> None:
    peer.ask(1, b"why", path="/t/fail")
    assert peer.fields() == {
        ":status": "200",
        "content-type": "application/grpc",
        "grpc-accept-encoding": "identity",
        "grpc-status": "9",
        "grpc-message": "why",
    }


@pytest.mark.parametrize("cut", [1, 3, 10, 24, 30])
def test_bytes_in_pieces_of_any_size(server: Server, cut: int) -> None:
    with Peer(server.port, greet=False) as peer:
        data = frames.PREFACE + frame(frames.SETTINGS, 0, 0)
        data += frame(frames.HEADERS, frames.END_HEADERS, 1, peer.block())
        data += frame(frames.DATA, frames.END_STREAM, 1, message(b"hello"))
        for at in range(0, len(data), cut):
            peer.send(data[at : at + cut])
        assert peer.next(frames.DATA).payload == message(b"hello")


def test_a_message_in_several_padded_frames_and_trailers(peer: Peer) -> None:
    peer.headers(1)
    for part in (b"\0\0", b"\0\0\5he", b"ll", b"o"):
        peer.send(frame(frames.DATA, frames.PADDED, 1, b"\3" + part + b"\0\0\0"))
    end = frames.END_HEADERS | frames.END_STREAM
    peer.send(frame(frames.HEADERS, end, 1, peer.encoder.encode([("x-checksum", "1")])))
    assert peer.next(frames.DATA).payload == message(b"hello")


def test_headers_in_continuations(peer: Peer) -> None:
    block = peer.block()
    peer.send(frame(frames.HEADERS, 0, 1, block[:10]) + frame(frames.CONTINUATION, 0, 1, block[10:20]))
    peer.send(frame(frames.CONTINUATION, frames.END_HEADERS, 1, block[20:]))
    peer.data(1, message(b"hello"))
    assert peer.next(frames.DATA).payload == message(b"hello")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"content_type": "application/json"}, "415"),
        ({"content_type": "application/grpc-web"}, "415"),
        ({"method": "GET"}, "405"),
    ],
)
def test_requests_that_are_not_grpc(peer: Peer, changed: dict[str, str], status: str) -> None:
    peer.ask(1, **changed)
    assert peer.fields()[":status"] == status
    assert peer.next(frames.DATA).payload == b"This port answers gRPC."


def test_the_same_block_means_another_value_once_the_table_has_changed(peer: Peer) -> None:
    start = b"\x83\x86\x04\x0b/t/metadata\x0f\x10\x10application/grpc"
    latest = start + b"\xbe"
    described = []
    for stream, block in enumerate(
        [start + literal("a"), latest, latest, start + literal("b"), latest, start + literal("c") + b"\xbf", latest]
    ):
        peer.send(frame(frames.HEADERS, frames.END_HEADERS, 2 * stream + 1, block))
        peer.data(2 * stream + 1, message(b""))
        described.append(peer.next(frames.DATA).payload.split(b"'")[7])
    assert described == [b"a", b"a", b"a", b"b", b"b", b"c,b", b"c"]


@pytest.mark.parametrize("before", [b"\x83", b"\x83\x86\x04\x01/"])
def test_a_size_of_the_table_after_a_field_ends_the_connection(peer: Peer, before: bytes) -> None:
    peer.send(frame(frames.HEADERS, frames.END_HEADERS, 1, before + b"\x20\x84"))
    assert peer.code() is Code.COMPRESSION_ERROR


def literal(value: str) -> bytes:
    """A field ``x-one`` that is added to the table, at the place 62 (0xbe)."""
    return b"\x40\x05x-one" + bytes([len(value)]) + value.encode()


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (message(b"x", compressed=1), "12"),
        (b"\0\0\0\0\5hell", "13"),
        (b"", "12"),
        (message(b"a") + message(b"b"), "12"),
        (b"\0\0\1\0\1", "8"),
    ],
)
def test_messages_that_end_a_call(peer: Peer, payload: bytes, status: str) -> None:
    peer.headers(1)
    peer.data(1, payload)
    assert peer.fields()["grpc-status"] == status
    peer.ask(3, b"next")
    assert peer.next(frames.DATA).payload == message(b"next")


def test_a_call_that_fails_early_is_reset_without_error_and_what_follows_is_ignored(peer: Peer) -> None:
    peer.headers(1, path="/t/nothing")
    assert peer.fields()["grpc-status"] == "12"
    reset = peer.next(frames.RST_STREAM)
    assert (reset.stream, reset.number) == (1, Code.NO_ERROR)
    peer.data(1, message(b"on its way"))
    peer.ask(3, b"next")
    assert peer.next(frames.DATA).payload == message(b"next")


def test_an_answer_waits_for_the_windows_of_stream_and_connection(server: Server) -> None:
    with Peer(server.port, settings((frames.INITIAL_WINDOW, 10))) as peer:
        peer.ask(1, b"100", path="/t/size")
        assert len(peer.next(frames.DATA).payload) == 10
        peer.send(frame(frames.SETTINGS, 0, 0, settings((frames.INITIAL_WINDOW, 30))))
        assert len(peer.next(frames.DATA).payload) == 20
        peer.send(frame(frames.WINDOW_UPDATE, 0, 1, (1_000).to_bytes(4, "big")))
        assert len(peer.next(frames.DATA).payload) == 75
        assert peer.fields() == {"grpc-status": "0"}
        peer.send(frame(frames.SETTINGS, 0, 0, settings((frames.INITIAL_WINDOW, 10**6))))
        peer.ask(3, b"70000", path="/t/size")
        sizes = [len(peer.next(frames.DATA).payload) for _ in range(4)]
        assert sum(sizes) == 65_535 - 105
        peer.send(frame(frames.WINDOW_UPDATE, 0, 0, (10**6).to_bytes(4, "big")))
        assert len(peer.next(frames.DATA).payload) == 70_005 - sum(sizes)


def test_frames_are_as_large_as_the_peer_allows(server: Server) -> None:
    with Peer(server.port, settings((frames.MAX_FRAME, 40_000))) as peer:
        peer.ask(1, b"50000", path="/t/size")
        assert [len(peer.next(frames.DATA).payload) for _ in range(2)] == [40_000, 10_005]


def test_a_peer_without_a_table_is_told_once_that_it_is_not_used(server: Server) -> None:
    with Peer(server.port, settings((frames.HEADER_TABLE, 0))) as peer:
        peer.ask(1, b"x")
        assert peer.next(frames.HEADERS).payload.startswith(b"\x20\x88")
        peer.ask(3, b"x")
        assert peer.next(frames.HEADERS).stream == 1
        assert peer.next(frames.HEADERS).payload.startswith(b"\x88")


def test_windows_are_granted_again(peer: Peer) -> None:
    """A hundred messages on one stream, ten times what the windows allow at first."""
    allowed = {0: 65_535, 1: 65_535}
    peer.headers(1, path="/t/chat")
    for _ in range(100):
        while min(allowed.values()) < 10_005:
            update = peer.next(frames.WINDOW_UPDATE)
            allowed[update.stream] += update.number
        peer.data(1, message(b"x" * 10_000), end=False)
        allowed = {stream: size - 10_005 for stream, size in allowed.items()}
        for stream in (0, 1):
            peer.send(frame(frames.WINDOW_UPDATE, 0, stream, (10_005).to_bytes(4, "big")))
    peer.data(1, b"")
    assert peer.status() == "0"


def test_drain_tells_the_peer_twice(server: Server, peer: Peer) -> None:
    peer.ask(1, path="/t/hold")
    (held,) = server.holding(1)
    (connection,) = server.connections
    server.run(connection.drain)
    assert peer.next(frames.GOAWAY).payload == struct.pack(">II", 2**31 - 1, Code.NO_ERROR)
    ping = peer.next(frames.PING)
    peer.ask(3, b"sent before")
    peer.send(frame(frames.PING, frames.ACK, 0, ping.payload))
    assert peer.next(frames.DATA).payload == message(b"sent before")
    assert peer.next(frames.GOAWAY).payload == struct.pack(">II", 3, Code.NO_ERROR)
    peer.ask(5, b"too late")
    reset = peer.next(frames.RST_STREAM)
    assert (reset.stream, reset.number) == (5, Code.REFUSED_STREAM)
    server.run(held.reply, b"done")
    assert peer.next(frames.DATA).payload == message(b"done")
    assert peer.is_closed()


def test_drain_does_not_wait_for_a_peer_that_is_silent(serve: Callable[..., Server]) -> None:
    server = serve(drain=0.05)
    with Peer(server.port) as peer:
        peer.next(frames.SETTINGS)
        wait_until(lambda: all(connection.ready for connection in server.connections))
        (connection,) = server.connections
        server.run(connection.drain)
        assert peer.code() is Code.NO_ERROR


def test_a_peer_that_goes_away_gets_its_answers(server: Server, peer: Peer) -> None:
    peer.ask(1, path="/t/hold")
    (held,) = server.holding(1)
    peer.send(frame(frames.GOAWAY, 0, 0, bytes(8)))
    server.run(held.reply, b"done")
    assert peer.next(frames.DATA).payload == message(b"done")
    assert peer.is_closed()


def test_answers_of_one_iteration_of_the_loop_are_one_write(server: Server, peer: Peer) -> None:
    for stream in (1, 3, 5):
        peer.ask(stream, path="/t/hold")
    held = server.holding(3)
    (connection,) = server.connections
    written: list[bytes] = []

    def reply_to_all() -> None:
        send = connection.transport.write
        connection.transport = _Spy(connection.transport, lambda data: (written.append(data), send(data)))  # type: ignore[assignment]
        for call in held:
            call.reply(b"x")

    server.run(reply_to_all)
    for _ in range(3):
        assert peer.next(frames.DATA).payload == message(b"x")
    assert len(written) == 1


class _Spy:
    """A transport whose writes are seen."""

    def __init__(self, transport: object, write: Callable[[bytes], object]) -> None:
        self._transport, self.write = transport, write

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)
