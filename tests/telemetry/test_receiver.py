"""Spans and metrics of real web servers and gateways arrive at a receiver of OTLP."""

import secrets

import httpx
import pytest

from ratelimit_platform.celery import app
from tests.end_to_end.conftest import http, live_rules, redis
from tests.end_to_end.shop import ask
from tests.support.celery import CeleryProcess
from tests.support.forked import run_forked
from tests.support.gateway_process import running_gateways
from tests.support.waiting import wait_until
from tests.support.web import environment_of_test, running_servers
from tests.telemetry.receiver import running_receiver

__all__ = ["http", "live_rules", "redis"]

SERVICES = ("ratelimit-web", "ratelimit-gateway")
SHOW = """
import sys
# As if it were not installed. (redis-py imports it if it is.)
for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
    del sys.modules[name]
sys.modules["opentelemetry"] = None
import ratelimit_platform.wsgi
from django.conf import settings
from ratelimit_enforcer import telemetry
print(telemetry.started, any("tracing" in name for name in settings.MIDDLEWARE))
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live_rules")
def test_web_and_gateway_send_what_the_standard_variables_say(http: httpx.Client) -> None:
    trace, parent = secrets.token_hex(16), secrets.token_hex(8)
    http.headers["traceparent"] = f"00-{trace}-{parent}-01"
    with running_receiver() as receiver:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_BSP_SCHEDULE_DELAY": "600000",
            "OTEL_METRIC_EXPORT_INTERVAL": "600000",
        }
        with running_servers(1, **variables) as [web], running_gateways(1, **variables) as [gateway]:
            assert ask(http, web, client="a secret client")["status"] == 200
            assert ask(http, gateway, client="a secret client")["status"] == 200
        wait_until(lambda: set(receiver.spans_of(trace)) == set(SERVICES))
        for service in SERVICES:
            wait_until(lambda service=service: receiver.has_metric(service, "ratelimit.checks"))  # type: ignore[misc]
    spans = receiver.spans_of(trace).values()
    assert {(span.name, span.parent_span_id.hex()) for span in spans} == {("ratelimit.check", parent)}
    assert not any(b"secret client" in body for body in receiver.bodies)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live_rules")
def test_tasks_of_a_worker_have_spans() -> None:
    with running_receiver() as receiver:
        worker = CeleryProcess("worker", OTEL_TRACES_EXPORTER="otlp", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        try:
            app.send_task("limits.tasks.reconcile")
            wait_until(lambda: receiver.names_of("ratelimit-worker") == {"limits.tasks.reconcile"})
        finally:
            worker.stop()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("variables", "shown"),
    [
        ({}, "None False"),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, "None False"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "None True"),
    ],
    ids=["not configured", "switched off", "not installed"],
)
def test_otherwise_a_process_starts_without_the_library(variables: dict[str, str], shown: str) -> None:
    result = run_forked(["-c", SHOW], environment_of_test(**variables))
    assert result.stdout.strip().endswith(shown), result.stderr
    assert ("not installed" in result.stderr + result.stdout) == (shown == "None True")
