"""All interfaces under the same load, interleaved."""

import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from redis import Redis

from benchmarks.doors import envoyproxy, latency
from benchmarks.doors.load import SECONDS, Answered, h2load, steady_calls, steady_checks, subject, wrk
from benchmarks.doors.processes import Gateway, gateway
from benchmarks.measuring import Series, Subject, interleaved, ratio, spread
from benchmarks.report import Cell, Part, Table, Target
from benchmarks.rules import publish, ruleset
from benchmarks.web.server import environment_of, web_server
from gateway.proto.ratelimit_pb2 import RateLimitDescriptor
from gateway.proto.rls_pb2 import RateLimitRequest
from tests.support.web import WebServer, outer_environment

CONNECTIONS = (1, 16, 64)
MAX_BY_HAND = 16
"""A process of web refuses more requests at once (``ratelimit_platform.request_bodies``), except checks of the API."""
MODULES = ("ratelimit_platform.gateway", "benchmarks.doors.alone", "benchmarks.doors.grpcio_server")
SHOULD_RATE_LIMIT = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"

WEB = "web, `POST /v1/check`"
BY_HAND = "web, a hand-written DRF view, one `EVALSHA`"
HTTP = "gateway, `POST /v1/check`"
ALONE = "the same, each check in a call of its own"
GRPC = "gateway, gRPC"
GRPCIO = "the same service behind grpcio's asyncio server"
PEER_HTTP = "envoyproxy/ratelimit, HTTP"
PEER_GRPC = "envoyproxy/ratelimit, gRPC"


def part(url: str, rounds: int) -> Part:
    """Measures with the Redis at this URL."""
    if missing := [program for program in ("wrk", "h2load") if shutil.which(program) is None]:
        note = f"Not measured: {' and '.join(missing)} not installed (`apt-get install wrk nghttp2-client`)."
        return Part("Interfaces", [Table("Answers", ("interface",), (), note)])
    token = secrets.token_urlsafe(32)
    publish(url, ruleset(token_digest=sha256(token.encode()).hexdigest()))
    tables: list[Table] = []
    targets: list[Target] = []
    with _servers(url) as servers:
        for connections in CONNECTIONS:
            series = interleaved(servers.subjects(token, connections), rounds)
            tables.append(_table(connections, series))
            targets += _targets(connections, series)
        # The last series is that of the most connections.
        tops = {name: spread(series[name], "answers").median for name in (HTTP, GRPC)}
        table, more = latency.measured(servers.ours, servers.redis, servers.steady(token), tops, rounds)
    tables.append(table)
    targets += more
    return Part("Interfaces", tables, targets)


@dataclass(frozen=True)
class Servers:
    """The servers that run, and the id of the process of their Redis."""

    web: WebServer
    ours: Gateway
    alone: Gateway
    grpcio: Gateway
    peer: envoyproxy.EnvoyProxy | None
    redis: int

    def subjects(self, token: str, connections: int) -> Mapping[str, Subject]:
        """The subjects under load from this number of connections."""
        web, ours, peer, redis = self.web, self.ours, self.peer, self.redis

        def checks(url: str) -> Callable[[], Answered]:
            return wrk(url, "one", token, connections)

        def calls(port: int, *entries: str) -> Callable[[], Answered]:
            return h2load(port, SHOULD_RATE_LIMIT, _message(*entries), token, connections)

        subjects = {
            WEB: subject(checks(f"{web.url}/v1/check"), web.process.pid, redis),
            HTTP: subject(checks(ours.check_url), ours.pid, redis),
            ALONE: subject(checks(self.alone.check_url), self.alone.pid, redis),
            GRPC: subject(calls(ours.grpc_port, "endpoint"), ours.pid, redis),
            GRPCIO: subject(calls(self.grpcio.grpc_port, "endpoint"), self.grpcio.pid, redis),
        }
        if connections <= MAX_BY_HAND:
            subjects[BY_HAND] = subject(checks(f"{web.url}/bench/minimal"), web.process.pid, redis)
        if peer is not None:
            peer_url = f"http://127.0.0.1:{peer.http_port}/json"
            subjects[PEER_HTTP] = subject(wrk(peer_url, "envoyproxy", token, connections), peer.pid, redis)
            subjects[PEER_GRPC] = subject(calls(peer.grpc_port), peer.pid, redis)
        return subjects

    def steady(self, token: str) -> Mapping[str, Callable[[float, int], Callable[[], Answered]]]:
        """The loads of a fixed rate on both interfaces of the gateway."""
        url, port, message = self.ours.check_url, self.ours.grpc_port, _message("endpoint")
        return {
            HTTP: lambda rate, seconds: steady_checks(url, token, rate, seconds),
            GRPC: lambda rate, seconds: steady_calls(port, SHOULD_RATE_LIMIT, message, token, rate, seconds),
        }


@contextmanager
def _servers(url: str) -> Iterator[Servers]:
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ratelimit-bench-"))) for _ in range(3)]
        web = stack.enter_context(web_server(url, folders[0]))
        environment = outer_environment() | environment_of(url, folders[1])
        ours, alone, grpcio = [stack.enter_context(gateway(environment, module)) for module in MODULES]
        program = envoyproxy.executable()
        peer = stack.enter_context(envoyproxy.running(program, url, folders[2])) if program else None
        with Redis.from_url(url) as redis:
            pid = redis.info("server")["process_id"]
        yield Servers(web, ours, alone, grpcio, peer, pid)


def _message(*entries: str) -> bytes:
    """A request of one client; with ``endpoint`` of the endpoint with one limit."""
    pairs = [RateLimitDescriptor.Entry(key="client", value="client-1")]
    pairs += [RateLimitDescriptor.Entry(key=entry, value="one") for entry in entries]
    request = RateLimitRequest(domain="bench" if not entries else "", descriptors=[RateLimitDescriptor(entries=pairs)])
    return request.SerializeToString()


def _table(connections: int, series: Mapping[str, Series]) -> Table:
    figures = ("answers", "p50", "p99", "server_us", "redis_us")
    rows: list[tuple[Cell, ...]] = [
        (title, *[spread(each, figure) for figure in figures]) for title, each in series.items()
    ]
    columns = ("interface", "answers per second", "p50, ms", "p99, ms", "server, µs", "Redis, µs")
    note = (
        f"One limit; two processes of web and two of the gateway; {SECONDS} s a round. Over HTTP a thousand clients in "
        "turn (wrk), over gRPC one (h2load). Server and Redis: processor time for each answer."
    )
    return Table(_so_many(connections), columns, rows, note)


def _targets(connections: int, series: Mapping[str, Series]) -> Iterator[Target]:
    times, at = {16: 4.0, 64: 6.0}, _so_many(connections)
    if connections not in times:
        return
    answers = ratio(series[HTTP], series[WEB], "answers")
    yield Target(f"{at}: answers of the gateway × those of web", answers, times[connections], at_most=False)
    yield Target(f"{at}: processor time × that of web", ratio(series[HTTP], series[WEB], "server_us"), 0.2)
    for ours, peer in ((HTTP, PEER_HTTP), (GRPC, PEER_GRPC)):
        if peer in series:
            found = ratio(series[ours], series[peer], "server_us")
            yield Target(f"{at}: processor time, {ours} × {peer}", found, 1.0)


def _so_many(connections: int) -> str:
    return "1 connection" if connections == 1 else f"{connections} connections"
