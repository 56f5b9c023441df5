"""Answers come in the order of the requests, and connections end when their callers or the server want it."""

import socket
import struct
from collections.abc import Callable

import pytest

from gateway.http1.connection import MAX_AHEAD, SLICE_BYTES
from tests.gateway.http1.serving import Peer, Serving, get, post
from tests.support.waiting import wait_until


def test_requests_sent_ahead_are_answered_in_order(peer: Peer, serving: Serving) -> None:
    peer.send(get("/held") + b"".join(get(f"/{number}") for number in range(10)))
    wait_until(lambda: serving.mirror.handled == ["/held"])
    serving.release()
    assert [peer.reply().asked["path"] for _ in range(11)] == ["/held", *(f"/{number}" for number in range(10))]


def test_ten_thousand_requests_sent_ahead_neither_pile_up_nor_get_lost(peer: Peer, serving: Serving) -> None:
    short = b"GET /1 HTTP/1.1\r\nA: b\r\n\r\n"
    peer.send(get("/held"))
    wait_until(lambda: serving.mirror.handled == ["/held"])
    peer.send(short * 10_000)
    (connection,) = serving.connections
    wait_until(lambda: len(connection._ahead) >= MAX_AHEAD)
    assert len(connection._ahead) <= MAX_AHEAD + SLICE_BYTES // len(short)
    serving.release()
    assert [peer.reply().asked["path"] for _ in range(10_001)] == ["/held", *["/1"] * 10_000]


def test_a_connection_is_kept_for_http_1_1(peer: Peer) -> None:
    for _ in range(3):
        assert "connection" not in peer.send(get()).reply().headers


@pytest.mark.parametrize("request_", [get("/", "Connection: close"), get("/", version="1.0")], ids=["close", "1.0"])
def test_a_connection_ends_after_the_answer(peer: Peer, request_: bytes) -> None:
    assert peer.send(request_).reply().headers["connection"] == "close"
    assert peer.rest() == b""


def test_an_older_caller_is_told_that_the_connection_is_kept(peer: Peer) -> None:
    keep = get("/", "Connection: keep-alive", version="1.0")
    assert peer.send(keep).reply().headers["connection"] == "keep-alive"
    assert peer.send(keep).reply().status == 200


def test_what_follows_the_last_request_is_not_read_and_that_request_has_its_answer(
    peer: Peer, serving: Serving
) -> None:
    peer.send(get("/held", "Connection: close") + get("/never"))
    wait_until(lambda: serving.mirror.handled == ["/held"])
    serving.release()
    assert peer.reply().asked["path"] == "/held"
    assert peer.rest() == b""
    assert serving.mirror.handled == ["/held"]


def test_a_caller_that_ends_its_side_gets_the_answers(peer: Peer, serving: Serving) -> None:
    peer.send(get("/held") + get("/2") + b"GET /unfinished").end()
    wait_until(lambda: serving.mirror.handled == ["/held"])
    serving.release()
    assert [peer.reply().asked["path"] for _ in range(2)] == ["/held", "/2"]
    assert peer.rest() == b""


def test_an_invalid_request_does_not_take_the_answer_from_an_earlier_one(peer: Peer, serving: Serving) -> None:
    peer.send(get("/held") + get("/2") + b"\x00\x00\r\n\r\n")
    wait_until(lambda: serving.mirror.handled == ["/held"])
    serving.release()
    assert [peer.reply().status for _ in range(3)] == [200, 200, 400]
    assert peer.rest() == b""


def test_head_has_the_length_and_no_body(peer: Peer) -> None:
    reply = peer.send(get().replace(b"GET", b"HEAD", 1)).reply(head=True)
    assert int(reply.headers["content-length"]) > 0
    assert peer.send(get("/next")).reply().asked["path"] == "/next"


def test_a_refused_head_has_no_body(peer: Peer) -> None:
    peer.send(post(b"", length=70_000).replace(b"POST", b"HEAD", 1))
    assert peer.reply(head=True).status == 413
    assert peer.rest() == b""


def test_a_caller_that_does_not_read_is_not_answered_further(connect: Callable[..., Peer], serving: Serving) -> None:
    peer = connect(receive_buffer=4_096)
    peer.send(get("/large") * 10)
    wait_until(lambda: serving.mirror.handled.count("/large") == 1)
    peer.send(get("/held"))
    serving.do(lambda: None)
    assert serving.mirror.handled == ["/large"]


def test_a_caller_that_does_not_read_in_time_is_disconnected(connect: Callable[..., Peer], serving: Serving) -> None:
    connect(receive_buffer=4_096).send(get("/large"))
    wait_until(lambda: serving.mirror.handled == ["/large"])
    serving.later(29)
    assert len(serving.connections) == 1
    serving.later(31)
    wait_until(lambda: not serving.connections)


@pytest.mark.parametrize("end", ["Connection: close", "X-Nothing: 1"])
def test_a_last_answer_that_is_not_read_in_time_does_not_keep_the_connection(
    connect: Callable[..., Peer], serving: Serving, end: str
) -> None:
    connect(receive_buffer=4_096).send(get("/large", end)).end()
    wait_until(lambda: serving.mirror.handled == ["/large"])
    serving.later(31)
    wait_until(lambda: not serving.connections)


def test_a_caller_that_reads_late_gets_everything(connect: Callable[..., Peer], serving: Serving) -> None:
    peer = connect(receive_buffer=4_096)
    peer.send(get("/large") * 3 + get("/last"))
    wait_until(lambda: serving.mirror.handled == ["/large"])
    assert [len(peer.reply().body) for _ in range(3)] == [8 << 20] * 3
    assert peer.reply().asked["path"] == "/last"
    serving.later(70)
    assert len(serving.connections) == 1


def reset(peer: Peer) -> None:
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


@pytest.mark.parametrize("begun", [b"", b"GET /", get("/held"), get("/held") * 3, post(b"1", length=5)])
def test_a_reset_leaves_nothing_behind(peer: Peer, serving: Serving, begun: bytes) -> None:
    peer.send(begun)
    wait_until(lambda: len(serving.connections) == 1)
    if b"/held" in begun:
        wait_until(lambda: serving.mirror.handled == ["/held"])
    reset(peer)
    wait_until(lambda: not serving.connections)
    serving.release()
    assert serving.mirror.handled in ([], ["/held"])


def test_a_failure_of_the_application_ends_the_connection(peer: Peer, serving: Serving) -> None:
    assert peer.send(get("/broken")).rest() == b""
    wait_until(lambda: not serving.connections)


def test_a_draining_server_answers_requests_in_flight_and_closes(peer: Peer, serving: Serving) -> None:
    peer.send(get("/held"))
    wait_until(lambda: serving.mirror.handled == ["/held"])
    serving.do(lambda: [each.drain() for each in serving.server.connections])
    serving.release()
    assert peer.reply().headers["connection"] == "close"
    assert peer.rest() == b""


def test_a_draining_server_answers_one_more_request_and_closes(peer: Peer, serving: Serving) -> None:
    """It may have been on its way when the server began to drain."""
    peer.send(get()).reply()
    serving.do(lambda: [each.drain() for each in serving.server.connections])
    assert peer.send(get("/late")).reply().headers["connection"] == "close"
    assert peer.rest() == b""


def test_a_draining_server_closes_silent_connections(peer: Peer, serving: Serving) -> None:
    wait_until(lambda: len(serving.connections) == 1)
    serving.do(lambda: [each.drain() for each in serving.server.connections])
    serving.later(3)
    assert peer.rest() == b""
