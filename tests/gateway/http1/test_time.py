"""Nobody keeps a connection by being slow. The time is passed to ``expire``, so no test waits."""

import pytest

from tests.gateway.http1.serving import Peer, Serving, get, post
from tests.support.waiting import wait_until


def begun(serving: Serving) -> None:
    """Waits until the server has read something."""
    wait_until(lambda: any(each._reader.in_request for each in serving.connections))


def test_a_silent_connection_ends_after_ten_seconds(peer: Peer, serving: Serving) -> None:
    wait_until(lambda: len(serving.connections) == 1)
    serving.later(9)
    assert len(serving.connections) == 1
    serving.later(11)
    assert peer.rest() == b""


def test_headers_must_arrive_within_ten_seconds(peer: Peer, serving: Serving) -> None:
    peer.send(get().rstrip())
    begun(serving)
    serving.later(9)
    assert len(serving.connections) == 1
    serving.later(11)
    assert peer.rest() == b""


def test_headers_after_pipelined_requests_must_arrive_within_ten_seconds_too(peer: Peer, serving: Serving) -> None:
    peer.send(get("/held") + get("/2") + get("/3") + b"GET /4")
    wait_until(lambda: serving.mirror.handled == ["/held"])
    serving.release()
    assert [peer.reply().status for _ in range(3)] == [200] * 3
    serving.later(11)
    assert peer.rest() == b""


def test_a_body_must_arrive_within_ten_seconds(peer: Peer, serving: Serving) -> None:
    peer.send(post(b"1", length=10))
    begun(serving)
    serving.later(11)
    assert peer.reply().status == 408
    assert peer.rest() == b""


def test_a_caller_that_ignores_its_408_is_disconnected(peer: Peer, serving: Serving) -> None:
    peer.send(post(b"1", length=10))
    begun(serving)
    serving.later(11)
    assert peer.reply().status == 408
    serving.later(3)
    wait_until(lambda: not serving.connections)


def test_an_idle_connection_stays_for_75_seconds(peer: Peer, serving: Serving) -> None:
    peer.send(get()).reply()
    serving.later(74)
    assert peer.send(get()).reply().status == 200
    serving.later(76)
    assert peer.rest() == b""


def test_time_for_the_answer_is_not_that_of_the_caller(peer: Peer, serving: Serving) -> None:
    peer.send(get("/held") + b"GET /partial")
    wait_until(lambda: serving.mirror.handled == ["/held"])
    serving.later(30)
    serving.release()
    assert peer.reply().asked["path"] == "/held"


def test_a_request_that_is_never_answered_does_not_keep_the_connection(peer: Peer, serving: Serving) -> None:
    peer.send(get("/held"))
    wait_until(lambda: serving.mirror.handled == ["/held"])
    serving.later(61)
    assert peer.rest() == b""


@pytest.mark.parametrize("size", [1, 7])
def test_a_body_in_small_pieces_is_read(peer: Peer, size: int) -> None:
    data = post(b"abc" * 50)
    for start in range(0, len(data), size):
        peer.send(data[start : start + size])
    assert peer.reply().asked["body"] == "abc" * 50


def test_a_body_that_ends_early_is_not_handled(peer: Peer, serving: Serving) -> None:
    peer.send(post(b"1", length=10)).end()
    assert peer.rest() == b""
    assert serving.mirror.handled == []
