"""The processes of a gateway: they end, are replaced and survive outages of the store without losing a request."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx
import psutil
import pytest
from redis import Redis

from demo.shop import KEY_HEADER
from gateway.proto.ratelimit_pb2 import RateLimitDescriptor
from gateway.proto.rls_pb2 import RateLimitRequest, RateLimitResponse
from gateway.rls.service import SHOULD_RATE_LIMIT
from limits.models import PolicyLimit
from ratelimit_platform.embedded.redis import free_port
from tests.end_to_end.conftest import http, live_rules, redis
from tests.end_to_end.shop import SECRET, ask, policy, publish
from tests.faults.proxy import Link
from tests.support.gateway_process import COMMAND, running_gateways, start_gateway
from tests.support.waiting import wait_until
from tests.support.web import BASE_DIR, WebServer, environment_of_test, running_servers

__all__ = ["http", "live_rules", "redis"]

pytestmark = [pytest.mark.xdist_group("gateway-processes"), pytest.mark.django_db(transaction=True)]

HEADERS = {"Authorization": f"Bearer {SECRET}"}
END_SECONDS = 10.0


@pytest.fixture(scope="module")
def grpc_port() -> int:
    """The port of the gRPC interface of :func:`lasting_gateway`."""
    return free_port()


@pytest.fixture(scope="module")
def lasting_gateway(django_db_setup: None, grpc_port: int) -> Iterator[WebServer]:
    """A gateway for tests that leave it running, if with other processes."""
    with running_gateways(workers=2, GATEWAY_GRPC_PORT=str(grpc_port)) as [gateway]:
        yield gateway


@pytest.fixture
def gateway(live_rules: None, lasting_gateway: WebServer) -> WebServer:
    return lasting_gateway


@contextmanager
def load(
    gateways: list[WebServer], threads: int = 8, clients: int = 1, pause: float = 0
) -> Iterator[list[tuple[float, dict[str, Any]]]]:
    """Checks in a loop from connections that are kept, while the block runs. The list has the duration in seconds and
    the answer of each. ``pause``: seconds between two checks of a connection, which leave the processor to processes
    that start."""
    stop = threading.Event()
    seen: list[tuple[float, dict[str, Any]]] = []

    def send(number: int) -> None:
        with httpx.Client(headers=HEADERS, timeout=30) as connection:
            while not stop.wait(pause):
                began = time.monotonic()
                answer = ask(connection, gateways[number % len(gateways)], client=f"client-{number % clients}")
                seen.append((time.monotonic() - began, answer))

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(send, number) for number in range(threads)]
        try:
            yield seen
        finally:
            stop.set()
        for each in running:
            each.result()


def more(seen: list[Any], count: int = 100) -> None:
    """Waits for further answers."""
    target = len(seen) + count
    wait_until(lambda: len(seen) >= target)


@contextmanager
def begun_check(gateway: WebServer) -> Iterator[socket.socket]:
    """A connection with a request of which the last byte is missing, and which the gateway has begun to read."""
    body = b'{"client":"acme","endpoint":"search"}'
    head = f"POST /v1/check HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {SECRET}\r\n"
    head += f"Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body[:-1])
        yield connection


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("whole_group", [False, True])
def test_a_signal_ends_it_after_the_requests_in_flight(live_rules: None, number: int, whole_group: bool) -> None:
    with running_gateways(workers=2) as [gateway], begun_check(gateway) as connection:
        workers = gateway.workers
        began = time.monotonic()
        send = os.killpg if whole_group else os.kill
        send(gateway.process.pid, number)
        connection.sendall(b"}")
        answer = connection.recv(65_536)
        assert gateway.process.wait(30) == 0
        assert time.monotonic() - began < END_SECONDS
        assert answer.startswith(b"HTTP/1.1 200 ")
        psutil.wait_procs(workers, timeout=10)
        assert not any(worker.is_running() for worker in workers)


def test_a_request_that_never_ends_does_not_delay_the_end(live_rules: None) -> None:
    with running_gateways() as [gateway], begun_check(gateway):
        began = time.monotonic()
        gateway.process.terminate()
        assert gateway.process.wait(30) == 0
        assert time.monotonic() - began < END_SECONDS


def are_replaced(gateway: WebServer, before: set[int]) -> bool:
    return not before & {worker.pid for worker in gateway.workers}


def test_sighup_under_load_replaces_the_processes_without_a_failed_request(gateway: WebServer) -> None:
    with load([gateway], pause=0.02) as seen:
        for _ in range(2):
            before = {worker.pid for worker in gateway.workers}
            gateway.process.send_signal(signal.SIGHUP)
            wait_until(partial(are_replaced, gateway, before))
            more(seen)
    assert Counter(answer["status"] for _, answer in seen) == {200: len(seen)}


def test_a_signal_during_the_replacement_ends_everything(live_rules: None) -> None:
    with running_gateways(workers=2) as [gateway]:
        gateway.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(gateway.workers) == 4)
        workers = gateway.workers
        gateway.process.terminate()
        assert gateway.process.wait(END_SECONDS) == 0
        assert not any(worker.is_running() for worker in workers)


def test_a_killed_process_is_replaced_while_the_other_serves(gateway: WebServer, http: httpx.Client) -> None:
    first, second = gateway.workers
    first.kill()
    assert ask(http, gateway)["status"] == 200
    wait_until(lambda: len(gateway.workers) == 2 and first.pid not in {each.pid for each in gateway.workers})
    assert second.pid in {each.pid for each in gateway.workers}
    assert ask(http, gateway)["status"] == 200


def test_the_processes_of_a_killed_supervisor_end(live_rules: None) -> None:
    with running_gateways(workers=2) as [gateway]:
        workers = gateway.workers
        gateway.process.kill()
        _, running = psutil.wait_procs(workers, timeout=END_SECONDS)
        assert running == []


def refused(**variables: str) -> tuple[int, str]:
    """The exit status and the lines of a gateway that cannot start."""
    environment = environment_of_test(HOST="127.0.0.1", GATEWAY_GRPC_PORT=str(free_port()), **variables)
    ended = subprocess.run(COMMAND, cwd=BASE_DIR, env=environment, capture_output=True, text=True, timeout=60)
    return ended.returncode, ended.stderr


def test_a_port_in_use_is_reported(django_db_setup: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, lines = refused(GATEWAY_PORT=str(port))
    assert status == 1
    assert "Address already in use" in lines
    assert str(port) in lines
    assert "Traceback" not in lines


def test_a_wrong_setting_ends_it_instead_of_restarting_it_forever(django_db_setup: None) -> None:
    status, lines = refused(GATEWAY_PORT=str(free_port()), CHECK_DEADLINE="soon")
    assert status == 1
    assert "CHECK_DEADLINE" in lines


def status_of(gateway: WebServer, path: str) -> int:
    return httpx.get(f"{gateway.url}{path}", timeout=30).status_code


def test_it_starts_without_redis_and_recovers(live_rules: None, redis: Redis, http: httpx.Client) -> None:
    """Redis is behind a proxy that starts later."""
    with ExitStack() as stack:
        reserved = socket.create_server(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        reserved.close()
        address = redis.connection_pool.connection_kwargs
        gateway = start_gateway(REDIS_URL=f"redis://127.0.0.1:{port}/{address.get('db', 0)}", CHECK_DEADLINE="1")
        stack.callback(gateway.process.wait, 15)
        stack.callback(gateway.process.terminate)
        gateway.wait_until_it_answers()
        assert [status_of(gateway, "/healthz"), status_of(gateway, "/readyz")] == [200, 503]
        link = Link(port, address["port"])
        stack.callback(link.stop)
        wait_until(lambda: status_of(gateway, "/readyz") == 200)
        wait_until(lambda: ask(http, gateway)["degraded"] is False)


@contextmanager
def stopped(redis: Redis) -> Iterator[None]:
    """Redis accepts connections and answers none."""
    server = psutil.Process(redis.info("server")["process_id"])
    server.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.send_signal(signal.SIGCONT)


BOUND = 3.0
"""Seconds for one answer on a busy machine; the store alone would keep it for as long as it is stopped."""


def seconds_over_grpc(channel: grpc.Channel) -> float:
    """The duration of a call that is admitted."""
    began = time.monotonic()
    assert over_grpc(channel)
    return time.monotonic() - began


def test_a_stopped_redis_keeps_nobody_waiting_and_counts_are_correct_afterwards(
    live_rules: None, redis: Redis, http: httpx.Client
) -> None:
    policy("all", (10**9, 3_600))
    publish()
    port = free_port()
    with (
        running_gateways(CHECK_DEADLINE="0.2", GATEWAY_GRPC_PORT=str(port)) as [gateway],
        own_channel(port) as channel,
    ):
        assert not ask(http, gateway)["degraded"]
        with load([gateway], threads=16, clients=16) as seen:
            more(seen)
            with stopped(redis):
                more(seen, 400)
                began = len(seen)
                waits = [seconds_over_grpc(channel) for _ in range(20)]
                more(seen, 400)
                during = seen[began:]
        assert max(waits) < BOUND
        assert {answer["status"] for _, answer in seen} == {200}
        assert max(seconds for seconds, _ in seen) < BOUND
        assert all(answer["degraded"] for _, answer in during[:200])
        wait_until(lambda: not ask(http, gateway)["degraded"])
        left = ask(http, gateway, client="new")["remaining"]
        assert [ask(http, gateway, client="new")["remaining"] for _ in range(3)] == [left - 1, left - 2, left - 3]


def test_checks_are_answered_while_slow_calls_of_a_stopped_redis_fill_the_pool(
    live_rules: None, redis: Redis, http: httpx.Client
) -> None:
    with running_gateways(CHECK_DEADLINE="0.2") as [gateway]:
        ask(http, gateway)
        with stopped(redis), ThreadPoolExecutor(32) as pool:
            body = {"settlements": [{"reservation": "r" * 22, "cost": 1}] * 100}
            settle = f"{gateway.url}/v1/reservations/settle"
            slow = [pool.submit(httpx.post, settle, json=body, headers=HEADERS, timeout=60) for _ in range(64)]
            began = time.monotonic()
            assert [ask(http, gateway)["degraded"] for _ in range(50)] == [True] * 50
            assert time.monotonic() - began < 50 * BOUND
            assert status_of(gateway, "/healthz") == 200
            assert {each.result().status_code for each in slow} <= {400, 404, 503, 200}


def test_twenty_publications_under_load_leave_no_check_on_older_rules(gateway: WebServer, grpc_port: int) -> None:
    """Over HTTP and gRPC. Each publication lowers the quota, which the answers contain."""
    limit = policy("all", (10**9, 3_600)).limits.get()
    published = [10**9]
    stale: list[Any] = []
    stop = threading.Event()

    def send(quota: Callable[[], int]) -> int:
        count = 0
        while not stop.is_set():
            before, answered = published[0], quota()
            count += before < 10**9
            if answered > before:
                stale.append((before, answered))
        return count

    with ExitStack() as stack:
        ways = quotas_over_http_and_grpc(stack, gateway, grpc_port, 4)
        pool = stack.enter_context(ThreadPoolExecutor(len(ways)))
        publish()
        running = [pool.submit(send, way) for way in ways]
        try:
            for quota in range(10**9 - 1, 10**9 - 21, -1):
                PolicyLimit.objects.filter(pk=limit.pk).update(quota=quota)
                publish()
                published[0] = quota
        finally:
            stop.set()
        counts = [each.result() for each in running]
    assert min(sum(counts[::2]), sum(counts[1::2])) > 20
    assert stale == []


def quotas_over_http_and_grpc(
    stack: ExitStack, gateway: WebServer, grpc_port: int, count: int
) -> list[Callable[[], int]]:
    """``count`` connections to each interface, in turn: functions that ask for the quota of the client “acme”."""
    ways: list[Callable[[], int]] = []
    for _ in range(count):
        connection = stack.enter_context(httpx.Client(headers=HEADERS, timeout=30))
        channel = stack.enter_context(own_channel(grpc_port))
        ways += [partial(quota_over_http, connection, gateway), partial(quota_over_grpc, channel)]
    return ways


def quota_over_http(connection: httpx.Client, gateway: WebServer) -> int:
    return int(ask(connection, gateway)["limit"])


def quota_over_grpc(channel: grpc.Channel) -> int:
    return int(answer_over_grpc(channel).statuses[0].current_limit.requests_per_unit)


def own_channel(port: int) -> grpc.Channel:
    """A channel with a connection of its own."""
    return grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)])


def answer_over_grpc(channel: grpc.Channel) -> RateLimitResponse:
    """The answer of Envoy's rate limit service about a request of the client “acme”."""
    entries = [
        RateLimitDescriptor.Entry(key=key, value=value) for key, value in (("client", "acme"), ("endpoint", "search"))
    ]
    request = RateLimitRequest(descriptors=[RateLimitDescriptor(entries=entries)])
    call = channel.unary_unary(SHOULD_RATE_LIMIT, RateLimitRequest.SerializeToString, RateLimitResponse.FromString)
    answer: RateLimitResponse = call(request, timeout=30)
    return answer


def over_grpc(channel: grpc.Channel) -> bool:
    """Whether Envoy's rate limit service admits a request of the client “acme”."""
    return bool(answer_over_grpc(channel).overall_code == RateLimitResponse.OK)


def is_admitted(http: httpx.Client, server: WebServer) -> bool:
    """Whether ``/v1/check`` admits a request of the client “acme”."""
    return bool(ask(http, server)["allowed"])


def test_all_interfaces_together_admit_exactly_the_quota(gateway: WebServer, grpc_port: int) -> None:
    """Eight connections each to the gateway over HTTP and over gRPC, to the API of web, and to a view of a shop."""
    policy("all", (100, 3_600))
    publish()
    with running_servers(1, workers=2) as [web], ExitStack() as stack:

        def connection() -> httpx.Client:
            return stack.enter_context(httpx.Client(headers=HEADERS, timeout=30))

        def visit(shop: httpx.Client) -> bool:
            return shop.get(f"{web.url}/shop/search?q=tea", headers={KEY_HEADER: "acme"}).status_code == 200

        ways: list[Callable[[], bool]] = []
        for _ in range(8):
            channel = stack.enter_context(own_channel(grpc_port))
            ways += [
                partial(is_admitted, connection(), gateway),
                partial(is_admitted, connection(), web),
                partial(visit, connection()),
                partial(over_grpc, channel),
            ]
        pool = stack.enter_context(ThreadPoolExecutor(len(ways)))
        admitted = sum(pool.map(lambda way: sum(way() for _ in range(12)), ways))
    assert admitted == 100


def test_connections_to_redis_do_not_grow_with_those_of_callers(gateway: WebServer, redis: Redis) -> None:
    """Two processes, each with one thread of the engine, and a pool of eight."""
    with load([gateway], threads=64, clients=8) as seen:
        more(seen, 500)
        most = len(redis.client_list())
    assert most <= 2 * (1 + 8 + 2) + 4


def test_more_connections_than_files_do_not_keep_others_waiting(live_rules: None, http: httpx.Client) -> None:
    command = f"ulimit -n 256; exec {' '.join(COMMAND)}"
    port = free_port()
    environment = environment_of_test(
        HOST="127.0.0.1", GATEWAY_PORT=str(port), GATEWAY_WORKERS="1", GATEWAY_GRPC_PORT=str(free_port())
    )
    process = subprocess.Popen(["/bin/sh", "-c", command], cwd=BASE_DIR, env=environment)
    gateway = WebServer(f"http://127.0.0.1:{port}", process)
    try:
        gateway.wait_until_it_answers()
        assert ask(http, gateway)["status"] == 200
        with ExitStack() as stack:
            for _ in range(400):
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            # The connection that is kept is served, and the process is not busy with those that it refuses.
            assert [ask(http, gateway)["status"] for _ in range(20)] == [200] * 20
        wait_until(gateway._answers)
    finally:
        process.terminate()
        process.wait(15)
