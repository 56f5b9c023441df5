"""The client of gRPC's own library."""

import time
from collections.abc import Callable, Iterator

import grpc
import pytest

from tests.gateway.http2.conftest import Server
from tests.support.waiting import wait_until

LARGE = 50_000


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve()


@pytest.fixture
def channel(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", options=[("grpc.use_local_subchannel_pool", 1)]) as opened:
        yield opened


def test_a_message_and_its_answer(channel: grpc.Channel) -> None:
    assert channel.unary_unary("/t/echo")(b"hello", timeout=30) == b"hello"
    assert channel.unary_unary("/t/echo")(b"", timeout=30) == b""


def test_many_calls_at_once_on_one_channel(channel: grpc.Channel) -> None:
    echo = channel.unary_unary("/t/echo")
    calls = [echo.future(b"%d" % number, timeout=30) for number in range(300)]
    assert [call.result() for call in calls] == [b"%d" % number for number in range(300)]


def test_answers_come_in_any_order(server: Server, channel: grpc.Channel) -> None:
    calls = [channel.unary_unary("/t/hold").future(b"x", timeout=30) for _ in range(3)]
    for number, held in enumerate(reversed(server.holding(3))):
        server.run(held.reply, b"%d" % number)
    assert sorted(call.result() for call in calls) == [b"0", b"1", b"2"]


def test_metadata_deadline_and_peer(channel: grpc.Channel) -> None:
    metadata = (("x-one", "a"), ("x-one", "b"), ("x-two-bin", b"\x00\xff"))
    answer = channel.unary_unary("/t/metadata")(b"", timeout=3600, metadata=metadata)
    shown, seconds, peer = answer.decode().rsplit(" ", 2)
    assert shown == "{':path': '/t/metadata', 'x-one': 'a,b', 'x-two-bin': 'AP8'}"
    # grpcio sends three digits, rounded up: 3,600 or, if a moment has passed, 3,610 seconds.
    assert 3_590 < float(seconds) <= 3_610
    assert peer == "127.0.0.1"


def test_without_a_deadline(channel: grpc.Channel) -> None:
    assert b" None " in channel.unary_unary("/t/metadata")(b"")


@pytest.mark.parametrize("text", ["plain", "100 % sure", "Größe → 5 ", "line\nbreak", ""])
def test_a_status_with_a_text(channel: grpc.Channel, text: str) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/t/fail")(text.encode(), timeout=30)
    assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert raised.value.details() == text


def test_an_error_in_a_handler_ends_only_its_call(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/t/raise")(b"", timeout=30)
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert channel.unary_unary("/t/echo")(b"next", timeout=30) == b"next"


def test_an_unknown_method(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/t/nothing")(b"x", timeout=30)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert raised.value.details() == "There is no method /t/nothing."


def test_compressed_messages_are_not_implemented(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/t/echo")(b"x" * 5_000, timeout=30, compression=grpc.Compression.Gzip)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_message_of_the_largest_size_and_a_larger_one(channel: grpc.Channel) -> None:
    largest = bytes(65_536)
    assert channel.unary_unary("/t/echo")(largest, timeout=30) == largest
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/t/echo")(largest + b"x", timeout=30)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert channel.unary_unary("/t/echo")(b"next", timeout=30) == b"next"


def test_large_messages_both_ways_at_once(channel: grpc.Channel) -> None:
    messages = [bytes([number]) * LARGE for number in range(90)]
    calls = [channel.unary_unary("/t/echo").future(message, timeout=60) for message in messages]
    assert [call.result() for call in calls] == messages


def test_an_answer_larger_than_every_window(channel: grpc.Channel) -> None:
    assert channel.unary_unary("/t/size")(b"3000000", timeout=60) == bytes(3_000_000)


def test_many_answers_to_one_message(channel: grpc.Channel) -> None:
    answers = channel.unary_stream("/t/count")(b"2000", timeout=60)
    assert list(answers) == [b"%d" % number for number in range(2_000)]


def test_messages_both_ways(channel: grpc.Channel) -> None:
    answers = channel.stream_stream("/t/chat")(iter([b"one", b"two"] * 50), timeout=60)
    assert list(answers) == [b"ONE", b"TWO"] * 50


def test_two_messages_for_a_unary_method(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        channel.stream_unary("/t/echo")(iter([b"one", b"two"]), timeout=30)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_cancelled_call(server: Server, channel: grpc.Channel) -> None:
    call = channel.unary_unary("/t/hold").future(b"x", timeout=30)
    (held,) = server.holding(1)
    call.cancel()
    assert channel.unary_unary("/t/echo")(b"after", timeout=30) == b"after"
    assert server.events == ["cancelled"]
    assert held.cancelled
    server.run(held.reply, b"too late")
    assert channel.unary_unary("/t/echo")(b"still", timeout=30) == b"still"


def test_a_deadline_of_the_client(server: Server, channel: grpc.Channel) -> None:
    before = time.monotonic()
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/t/hold")(b"x", timeout=0.2)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - before < 30
    deadline = server.holding(1)[0].deadline_seconds
    assert deadline is not None
    assert 0 < deadline <= 0.2


def test_a_lost_connection_cancels_its_calls(server: Server) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        call = channel.unary_unary("/t/hold").future(b"x", timeout=30)
        (held,) = server.holding(1)
    assert not call.done() or call.cancelled() or call.code() is grpc.StatusCode.CANCELLED
    wait_until(lambda: held.cancelled)


def test_drain_finishes_calls_and_the_client_connects_again(server: Server, channel: grpc.Channel) -> None:
    call = channel.unary_unary("/t/hold").future(b"x", timeout=30)
    (held,) = server.holding(1)
    (connection,) = server.connections
    server.run(connection.drain)
    assert channel.unary_unary("/t/echo")(b"meanwhile", timeout=30) == b"meanwhile"
    server.run(held.reply, b"finished")
    assert call.result() == b"finished"
    assert channel.unary_unary("/t/echo")(b"again", timeout=30, wait_for_ready=True) == b"again"


def test_draining_under_load_fails_no_call(server: Server, channel: grpc.Channel) -> None:
    echo = channel.unary_unary("/t/echo")
    calls = []
    for number in range(400):
        calls.append(echo.future(b"%d" % number, timeout=30, wait_for_ready=True))
        if number % 100 == 50:
            server.run(lambda: [connection.drain() for connection in server.connections])
    assert [call.result() for call in calls] == [b"%d" % number for number in range(400)]


def test_pings_that_keep_a_connection_alive(server: Server) -> None:
    options = [("grpc.keepalive_time_ms", 100), ("grpc.keepalive_timeout_ms", 20_000)]
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", options=options) as channel:
        call = channel.unary_unary("/t/hold").future(b"x", timeout=60)
        (held,) = server.holding(1)
        with pytest.raises(grpc.RpcError):
            channel.unary_unary("/t/hold")(b"x", timeout=1)
        server.run(held.reply, b"alive")
        assert call.result() == b"alive"
