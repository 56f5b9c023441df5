"""Spans and metrics of checks, as OpenTelemetry's SDK receives them in this process."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from http.client import HTTPConnection
from typing import Any

import grpc
import pytest
from django.test import Client
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pytest_django import Settings

from gateway.proto.rls_pb2 import RateLimitResponse
from gateway.rls.service import SHOULD_RATE_LIMIT
from ratelimit_enforcer import telemetry
from ratelimit_enforcer.domain.decision import CheckRequest
from ratelimit_enforcer.domain.enums import Scope
from ratelimit_enforcer.domain.ruleset import ApiToken
from ratelimit_enforcer.store import observers
from ratelimit_platform.tracing import MIDDLEWARE
from tests.engine.rules import per_hour, policy, ruleset
from tests.gateway.rls.test_descriptors import descriptor, request_of
from tests.support.gateway import GatewayInThread
from tests.support.servers import LONG_DEADLINE, Store

pytestmark = pytest.mark.xdist_group("telemetry")

TOKEN = ApiToken("shop", sha256(b"secret").hexdigest(), frozenset({Scope.CHECK}))
RULES = replace(ruleset(policy("search", per_hour(2), endpoint="search")), tokens=(TOKEN,))
CLIENT = "the key of acme"
TRACE, PARENT = secrets.token_hex(16), secrets.token_hex(8)
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
BODY = {"client": CLIENT, "method": "GET", "path": "/search", "attributes": {"ip": "192.0.2.9"}}


@pytest.fixture(scope="module")
def sdk() -> tuple[InMemorySpanExporter, InMemoryMetricReader]:
    """OpenTelemetry accepts one provider of each kind in a process."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    return exporter, reader


@pytest.fixture
def exporter(
    sdk: tuple[InMemorySpanExporter, InMemoryMetricReader], monkeypatch: pytest.MonkeyPatch
) -> Iterator[InMemorySpanExporter]:
    before = observers.observer
    monkeypatch.setattr(telemetry, "started", None)
    telemetry.start()
    yield sdk[0]
    observers.install(before)
    sdk[0].clear()


@pytest.fixture
def store(redis_url: str, settings: Settings) -> Store:
    store = Store(redis_url, f"test-{secrets.token_hex(4)}")
    settings.RATELIMIT_PLATFORM = {
        "REDIS": store.url,
        "NAMESPACE": store.keys.namespace,
        "CHECK_DEADLINE": LONG_DEADLINE,
    }
    store.publish(RULES)
    store.load()
    return store


@pytest.fixture
def gateway(exporter: InMemorySpanExporter, store: Store) -> Iterator[GatewayInThread]:
    gateway = GatewayInThread(store.engine())
    yield gateway
    gateway.stop()


def ask_the_gateway(gateway: GatewayInThread, path: str, body: Any) -> int:
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    headers = {"Authorization": "Bearer secret", "traceparent": TRACEPARENT, "Content-Type": "application/json"}
    connection.request("POST", path, json.dumps(body), headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def ask_over_grpc(gateway: GatewayInThread, *entries: dict[str, str]) -> Any:
    with grpc.insecure_channel(f"127.0.0.1:{gateway.grpc_port}") as channel:
        send = channel.unary_unary(SHOULD_RATE_LIMIT, response_deserializer=RateLimitResponse.FromString)
        message = request_of(*map(descriptor, entries)).SerializeToString()
        return send(message, metadata=[("traceparent", TRACEPARENT)], timeout=LONG_DEADLINE)


def placed(span: ReadableSpan) -> tuple[str, str, str]:
    """The trace, the parent, and the kind of a span."""
    assert span.context is not None
    assert span.parent is not None
    return f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}", span.kind.name


def test_a_check_of_a_project_is_a_child_of_the_present_span(exporter: InMemorySpanExporter, store: Store) -> None:
    engine, check = store.engine(), CheckRequest(CLIENT, "search")
    with trace.get_tracer("test").start_as_current_span("request"):
        for _ in range(3):
            engine.check(check)
        engine.check(check, consume=False)
        engine.check_in_order([check, check])
    *singles, batch, outer = exporter.get_finished_spans()
    assert outer.context is not None
    assert {placed(span)[1:] for span in [*singles, batch]} == {(f"{outer.context.span_id:016x}", "INTERNAL")}
    admitted = {"ratelimit.outcome": "admitted", "ratelimit.degraded": False, "ratelimit.limits": 1}
    denied = {"ratelimit.outcome": "denied", "ratelimit.reason": "limit"}
    of_search = {"ratelimit.endpoint": "search"}
    assert [dict(span.attributes or {}) for span in singles] == [
        admitted | of_search,
        admitted | of_search,
        admitted | of_search | denied,
    ]
    assert dict(batch.attributes or {}) == {"ratelimit.checks": 2, "ratelimit.denied": 2, "ratelimit.degraded": False}
    assert [event.name for event in singles[2].events] == ["store call"]
    for span in singles:
        assert (span.start_time or 0) < (span.end_time or 0)


@pytest.mark.parametrize("path", ["/v1/check", "/v1/check/batch"])
def test_the_trace_of_a_caller_over_http_continues(
    exporter: InMemorySpanExporter, store: Store, gateway: GatewayInThread, settings: Settings, path: str
) -> None:
    body = BODY if path == "/v1/check" else {"checks": [BODY]}
    assert ask_the_gateway(gateway, path, body) == 200
    settings.MIDDLEWARE = [MIDDLEWARE, *settings.MIDDLEWARE]
    headers = {"authorization": "Bearer secret", "traceparent": TRACEPARENT}
    assert Client(headers=headers).post(path, body, content_type="application/json").status_code == 200
    spans = exporter.get_finished_spans()
    assert [(span.name, placed(span)) for span in spans] == [("ratelimit.check", (TRACE, PARENT, "SERVER"))] * 2
    written = "".join(span.to_json() for span in spans)
    assert CLIENT not in written
    assert "192.0.2.9" not in written


def test_the_trace_of_a_caller_over_grpc_continues(exporter: InMemorySpanExporter, gateway: GatewayInThread) -> None:
    ask_over_grpc(gateway, {"client": CLIENT, "endpoint": "search"})
    ask_over_grpc(gateway, {"client": CLIENT, "endpoint": "search"}, {"client": "other", "endpoint": "search"})
    spans = exporter.get_finished_spans()
    assert [(span.name, placed(span)) for span in spans] == [
        ("ratelimit.check", (TRACE, PARENT, "SERVER")),
        ("ratelimit.checks", (TRACE, PARENT, "SERVER")),
    ]


def test_checks_and_calls_of_the_store_are_measured(
    exporter: InMemorySpanExporter,
    sdk: tuple[InMemorySpanExporter, InMemoryMetricReader],
    store: Store,
) -> None:
    def counted(name: str) -> dict[tuple[tuple[str, Any], ...], int]:
        data = sdk[1].get_metrics_data()
        found = [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]
        return {tuple(sorted((each.attributes or {}).items())): _number(each) for each in found}

    engine, check = store.engine(), CheckRequest(CLIENT, "search")
    names = ("ratelimit.checks", "ratelimit.decision.duration", "ratelimit.store.call.duration")
    before = {name: counted(name) for name in names}
    for _ in range(3):
        engine.check(check)
    after = {name: counted(name) for name in names}

    def more(name: str, **attributes: Any) -> int:
        key = tuple(sorted((f"ratelimit.{each}", value) for each, value in attributes.items()))
        return after[name][key] - before[name].get(key, 0)

    assert more("ratelimit.checks", endpoint="search", outcome="admitted", degraded=False) == 2
    assert more("ratelimit.checks", endpoint="search", outcome="denied", degraded=False) == 1
    assert more("ratelimit.decision.duration", batch=False) == 3
    assert more("ratelimit.store.call.duration") >= 3


def _number(point: Any) -> int:
    return int(point.count if hasattr(point, "count") else point.value)
