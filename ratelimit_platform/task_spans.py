"""A span for each task of a worker, with its name and state; never its arguments."""

from typing import Any

from celery.signals import task_postrun, task_prerun

from ratelimit_enforcer import telemetry

_running: dict[str, Any] = {}
"""Id of a task → its span, and what ends the span's context."""


def start() -> None:
    """Traces the tasks of this process from now on, if it has telemetry."""
    if telemetry.started is not None:
        task_prerun.connect(_begin)
        task_postrun.connect(_end)


def _begin(task_id: str, task: Any, **_: Any) -> None:
    from opentelemetry import context, trace

    span = trace.get_tracer(__name__).start_span(task.name, kind=trace.SpanKind.CONSUMER)
    _running[task_id] = span, context.attach(trace.set_span_in_context(span))


def _end(task_id: str, state: str | None = None, **_: Any) -> None:
    from opentelemetry import context, trace

    span, token = _running.pop(task_id)
    context.detach(token)
    span.set_attribute("celery.state", str(state))
    if state == "FAILURE":
        span.set_status(trace.StatusCode.ERROR)
    span.end()
