"""One test for each bound: a hostile or broken peer costs no more than that, and others are served meanwhile."""

import socket
from collections.abc import Callable, Iterator

import pytest

from gateway.http2 import frames
from gateway.http2.frames import Code, frame
from tests.gateway.http2.conftest import Server
from tests.gateway.http2.peer import Peer, message
from tests.support.waiting import wait_until

SOON = 0.05
"""Seconds: the bounds of time in these tests."""

Serve = Callable[..., Server]


@pytest.fixture
def served(serve: Serve) -> Iterator[Serve]:
    """As ``serve``; after the test the server still answers, and has kept nothing."""
    servers: list[Server] = []

    def start(**bounds: float) -> Server:
        servers.append(serve(**bounds))
        return servers[-1]

    yield start
    for server in servers:
        wait_until(lambda server=server: not server.connections)
        with Peer(server.port) as peer:
            peer.ask(1, b"still here")
            assert peer.next(frames.DATA).payload == message(b"still here")


def test_connections(served: Serve) -> None:
    server = served(connections=2)
    with Peer(server.port) as one, Peer(server.port) as two:
        one.next(frames.SETTINGS)
        two.next(frames.SETTINGS)
        with Peer(server.port, greet=False) as third:
            assert third.is_closed()
        one.ask(1, b"x")
        assert one.next(frames.DATA).payload == message(b"x")


def test_calls_at_the_same_time(served: Serve) -> None:
    server = served(streams=3)
    with Peer(server.port) as peer:
        for stream in (1, 3, 5, 7):
            peer.ask(stream, path="/t/hold")
        reset = peer.next(frames.RST_STREAM)
        assert (reset.stream, reset.number) == (7, Code.REFUSED_STREAM)
        server.run(server.holding(3)[0].reply, b"one place")
        assert peer.next(frames.DATA).stream == 1
        peer.ask(9, b"free again")
        assert peer.next(frames.DATA).payload == message(b"free again")


def test_headers(served: Serve) -> None:
    with Peer(served(header_list=1_000).port) as peer:
        peer.headers(1, x_long="x" * 1_000)
        assert peer.code() is Code.ENHANCE_YOUR_CALM


def test_headers_that_are_small_only_while_compressed(served: Serve) -> None:
    with Peer(served().port) as peer:
        block = peer.block(x_long="x" * 4_000) + b"\xbe" * 10
        peer.send(frame(frames.HEADERS, frames.END_HEADERS, 1, block))
        assert peer.code() is Code.ENHANCE_YOUR_CALM


def test_numbers_of_a_large_field_of_the_table(served: Serve) -> None:
    with Peer(served().port) as peer:
        peer.ask(1, x_long="x" * 3_000)
        peer.send(frame(frames.HEADERS, frames.END_HEADERS, 3, peer.block() + b"\xbe" * 10))
        assert peer.code() is Code.ENHANCE_YOUR_CALM


def test_continuations_without_an_end(served: Serve) -> None:
    with Peer(served().port) as peer:
        peer.send(frame(frames.HEADERS, 0, 1, b""))
        peer.send_until_closed(frame(frames.CONTINUATION, 0, 1, b"\x00" * 1_000), 100)
        assert peer.is_closed()


def test_empty_continuations(served: Serve) -> None:
    with Peer(served(overhead=100).port) as peer:
        peer.send(frame(frames.HEADERS, 0, 1, b"") + frame(frames.CONTINUATION, 0, 1) * 101)
        assert peer.code() is Code.ENHANCE_YOUR_CALM


def test_resets(served: Serve) -> None:
    """CVE-2023-44487: calls that are given up at once, so that they never count as concurrent."""
    server = served(overhead=100)
    with Peer(server.port) as peer:
        reset = Code.CANCEL.to_bytes(4, "big")
        for stream in range(1, 205, 2):
            peer.headers(stream, path="/t/hold")
            peer.send(frame(frames.RST_STREAM, 0, stream, reset))
        assert peer.code() is Code.ENHANCE_YOUR_CALM


def test_resets_that_the_peer_provokes(served: Serve) -> None:
    """Calls that break a rule, so that the server resets them."""
    with Peer(served(overhead=100).port) as peer:
        for stream in range(1, 205, 2):
            peer.headers(stream, connection="close")
        assert peer.code() is Code.ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    "flood",
    [
        frame(frames.PING, 0, 0, bytes(8)),
        frame(frames.SETTINGS, 0, 0),
        frame(frames.SETTINGS, frames.ACK, 0),
        frame(frames.PRIORITY, 0, 1, b"\0\0\0\3\0"),
        frame(frames.WINDOW_UPDATE, 0, 0, b"\0\0\0\1"),
        frame(0x77, 0, 0, b"unknown"),
        frame(frames.DATA, 0, 5),
        frame(frames.DATA, frames.PADDED, 5, b"\3\0\0\0"),
        frame(frames.DATA, 0, 3, b"x"),
    ],
    ids=["ping", "settings", "acknowledgements", "priority", "window", "unknown", "empty", "padding", "no call"],
)
def test_frames_that_bring_no_call_forward(served: Serve, flood: bytes) -> None:
    with Peer(served(overhead=100).port) as peer:
        peer.headers(3, path="/t/nothing")
        peer.headers(5, path="/t/hold")
        peer.send(flood * 110)
        assert peer.code() is Code.ENHANCE_YOUR_CALM


def test_answered_calls_allow_more_such_frames(served: Serve) -> None:
    with Peer(served(overhead=10).port) as peer:
        for stream in range(1, 201, 2):
            peer.ask(stream, b"x")
            peer.send(frame(frames.PING, 0, 0, bytes(8)) * 3)
            assert peer.next(frames.DATA).payload == message(b"x")


def test_time_allows_more_such_frames(served: Serve) -> None:
    server = served(overhead=10, interval=SOON)
    with Peer(server.port) as peer:
        for _ in range(4):
            wait_until(lambda: [connection.credit for connection in server.connections] == [10])
            peer.send(frame(frames.PING, 0, 0, bytes(8)) * 6)
            for _ in range(6):
                peer.next(frames.PING)


def test_messages(served: Serve) -> None:
    with Peer(served(message=100).port) as peer:
        peer.headers(1)
        peer.data(1, message(bytes(101)), end=False)
        assert peer.status() == "8"


def test_bodies_of_requests_that_are_not_grpc(served: Serve) -> None:
    with Peer(served(message=100).port) as peer:
        peer.headers(1, content_type="text/plain")
        peer.data(1, bytes(101), end=False)
        assert peer.next(frames.RST_STREAM).number == Code.ENHANCE_YOUR_CALM


def test_incomplete_messages_together(served: Serve) -> None:
    with Peer(served(buffered=1_000).port) as peer:
        for stream in (1, 3, 5):
            peer.headers(stream)
            peer.data(stream, message(bytes(1_000))[:400], end=False)
        assert peer.next(frames.HEADERS).stream == 5
        peer.data(1, message(bytes(1_000))[400:])
        assert peer.next(frames.DATA).stream == 1


def test_a_peer_learns_why_its_connection_ended_although_it_still_sends(served: Serve) -> None:
    with Peer(served(drain=60.0).port) as peer:
        peer.send(frame(frames.DATA, 0, 1))
        wait_until(lambda: bool(peer.socket.recv(1, socket.MSG_PEEK)))
        peer.send(frame(frames.PING, 0, 0, bytes(8)) * 1_000)
        assert peer.code() is Code.PROTOCOL_ERROR


def test_a_peer_that_does_not_close(served: Serve) -> None:
    server = served(drain=SOON, interval=SOON)
    with Peer(server.port) as peer:
        peer.send(frame(frames.DATA, 0, 1))
        assert peer.code() is Code.PROTOCOL_ERROR
        wait_until(lambda: not server.connections)


def test_a_peer_that_says_nothing(served: Serve) -> None:
    with Peer(served(preface=SOON, interval=SOON).port, greet=False) as peer:
        assert peer.code() is Code.PROTOCOL_ERROR


def test_a_peer_that_does_not_end_the_preface(served: Serve) -> None:
    with Peer(served(preface=SOON, request=SOON, interval=SOON).port, greet=False) as peer:
        peer.send(frames.PREFACE[:10])
        assert peer.is_closed()


def test_a_peer_that_speaks_another_protocol(served: Serve) -> None:
    with Peer(served().port, greet=False) as peer:
        peer.send(b"GET / HTTP/1.1\r\n\r\n")
        assert peer.code() is Code.PROTOCOL_ERROR


def test_a_connection_without_calls(served: Serve) -> None:
    with Peer(served(idle=SOON, interval=SOON, drain=SOON).port) as peer:
        peer.ask(1, b"x")
        assert peer.next(frames.DATA).payload == message(b"x")
        assert peer.next(frames.GOAWAY).payload[-4:] == bytes(4)
        assert peer.is_closed()


def test_a_frame_without_an_end(served: Serve) -> None:
    with Peer(served(request=SOON, interval=SOON).port) as peer:
        peer.send(frame(frames.PING, 0, 0, bytes(8))[:-1])
        assert peer.code() is Code.ENHANCE_YOUR_CALM


def test_a_header_block_without_an_end(served: Serve) -> None:
    with Peer(served(request=SOON, interval=SOON).port) as peer:
        peer.send(frame(frames.HEADERS, 0, 1, b"\x82"))
        assert peer.code() is Code.ENHANCE_YOUR_CALM


def test_a_request_without_a_message(served: Serve) -> None:
    with Peer(served(request=SOON, interval=SOON).port) as peer:
        peer.headers(1)
        assert peer.status() == "4"


def test_half_a_message_of_a_call_with_many(served: Serve) -> None:
    with Peer(served(request=SOON, interval=SOON).port) as peer:
        peer.headers(1, path="/t/chat")
        peer.data(1, message(b"hello")[:-1], end=False)
        assert peer.status() == "4"


def test_a_call_with_many_messages_may_be_silent(served: Serve) -> None:
    with Peer(served(request=SOON, interval=SOON).port) as peer:
        peer.headers(1, path="/t/chat")
        peer.headers(3)
        assert (peer.next(frames.HEADERS).stream, peer.next(frames.RST_STREAM).stream) == (3, 3)
        peer.data(1, message(b"hello"), end=False)
        assert peer.next(frames.DATA).payload == message(b"HELLO")


def test_a_window_that_stays_closed(served: Serve) -> None:
    with Peer(served(unread=SOON, interval=SOON).port) as peer:
        peer.ask(1, b"70000", path="/t/size")
        reset = peer.next(frames.RST_STREAM)
        assert (reset.stream, reset.number) == (1, Code.CANCEL)


def test_a_peer_that_does_not_read(served: Serve) -> None:
    """The windows are open, but nothing is read from the socket."""
    server = served(unread=SOON, interval=SOON, unsent=10**9)
    with Peer(server.port, b"\0\4\x7f\xff\xff\xff") as peer:
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        peer.send(frame(frames.WINDOW_UPDATE, 0, 0, (2**30).to_bytes(4, "big")))
        peer.ask(1, b"30000000", path="/t/size")
        wait_until(lambda: server.connections != set())
        wait_until(lambda: server.connections == set())


def test_answers_that_wait(served: Serve) -> None:
    with Peer(served(unsent=100_000).port) as peer:
        peer.ask(1, b"200000", path="/t/size")
        assert peer.next(frames.RST_STREAM).number == Code.ENHANCE_YOUR_CALM
