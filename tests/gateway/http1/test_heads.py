"""A head that was accepted is not parsed again, only where that changes nothing."""

import pytest

from gateway.http1.connection import Http1Connection
from gateway.http1.heads import MAX_BYTES, MAX_HEADS, AcceptedHeads
from tests.gateway.http1.serving import Mirror, get, post
from tests.gateway.http1.test_any_bytes import RecordingTransport


class Caller:
    """A connection whose mirror accepts all heads."""

    def __init__(self, heads: AcceptedHeads) -> None:
        self.mirror = Mirror(heads)
        self.transport = RecordingTransport()
        self.connection = Http1Connection(self.mirror, set())
        self.connection.connection_made(self.transport)

    def send(self, *arrivals: bytes) -> int:
        """The number of requests that were not parsed."""
        before = self.mirror.found
        for data in arrivals:
            self.connection.data_received(data)
        return self.mirror.found - before


@pytest.fixture
def heads() -> AcceptedHeads:
    return AcceptedHeads()


@pytest.fixture
def caller(heads: AcceptedHeads) -> Caller:
    return Caller(heads)


def test_an_equal_head_is_parsed_once_for_all_connections(caller: Caller, heads: AcceptedHeads) -> None:
    assert caller.send(post(b"abc"), post(b"xyz")) == 1
    assert Caller(heads).send(post(b"123")) == 1
    assert caller.transport.written.endswith(b'"body": "xyz"}')


def test_the_address_is_that_of_the_connection(caller: Caller, heads: AcceptedHeads) -> None:
    caller.send(post(b"abc"))
    found = heads.find(post(b"abc"), "192.0.2.7")
    assert found is not None
    assert found.META["REMOTE_ADDR"] == "192.0.2.7"


@pytest.mark.parametrize(
    "data",
    [
        post(b"abc", "Accept: */*"),
        post(b"abc", path="/other"),
        post(b"abcd"),
        post(b"abc")[:-1],
        post(b"abc") + b"P",
        post(b"abc") * 2,
    ],
)
def test_other_heads_and_parts_and_several_requests_are_parsed(caller: Caller, data: bytes) -> None:
    assert caller.send(post(b"abc"), data) == 0


@pytest.mark.parametrize(
    "data",
    [
        get(),
        post(b"abc", "Connection: keep-alive"),
        post(b"abc", "Expect: 100-continue"),
        post(b"abc", "Connection: upgrade", "Upgrade: h2c"),
        post(b"abc").replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Host", b"Connection: keep-alive\r\nHost"),
        post(b"x" * MAX_BYTES),
        b"POST / HTTP/1.1\r\nHost: testserver\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        post(b"abc") * 2,
    ],
)
def test_what_concerns_the_connection_or_is_long_is_parsed_each_time(caller: Caller, data: bytes) -> None:
    assert caller.send(data, data, data) == 0


def test_a_request_that_arrives_in_parts_is_parsed(caller: Caller) -> None:
    data = post(b"abc")
    assert caller.send(data[:30], data[30:], data[:-3], data[-3:]) == 0
    assert caller.send(data, data) == 1


def test_the_number_of_heads_is_bounded(caller: Caller, heads: AcceptedHeads) -> None:
    requests = [post(b"abc", f"Number: {number}") for number in range(MAX_HEADS + 1)]
    assert caller.send(*requests) == 0
    assert caller.send(*requests[1:]) == MAX_HEADS
    assert caller.send(requests[0]) == 0
