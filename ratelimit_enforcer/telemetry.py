"""Spans and metrics by OpenTelemetry, for processes in which :func:`start` was called. Needs the extra
``opentelemetry``; nothing of it is imported before.

A span of a check has its endpoint, outcome, reason, number of limits, and whether it was degraded: never the client's
key, and no value of an attribute. The names follow https://opentelemetry.io/docs/specs/semconv/general/naming/.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

from ratelimit_enforcer.domain.decision import Decision
from ratelimit_enforcer.domain.outcomes import outcome_of
from ratelimit_enforcer.store import observers
from ratelimit_enforcer.store.observers import Observer

NAME = "ratelimit_enforcer"
"""The instrumentation scope."""

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Bucket bounds in seconds, as of the metrics for Prometheus."""

_MAX_CALLS = 16
"""Calls of the store that one span names."""

Result = TypeVar("Result")
Attributes = dict[str, str | bool | int]


class Telemetry(Observer):
    """Observes a process with OpenTelemetry's API; the SDK, and thus where spans and metrics go, is the process's own
    choice. Thread-safe."""

    def __init__(self) -> None:
        """Raises ``ImportError`` without the package ``opentelemetry-api``."""
        from opentelemetry import context, metrics, propagate, trace

        self._context, self._propagate, self._trace = context, propagate, trace
        self._tracer = trace.get_tracer(NAME)
        meter = metrics.get_meter(NAME)
        self._checks = meter.create_counter("ratelimit.checks", "{check}", "Checks decided, peeks excluded.")
        self._duration = meter.create_histogram(
            "ratelimit.decision.duration",
            "s",
            "Time to decide one check or one batch.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._store_duration = meter.create_histogram(
            "ratelimit.store.call.duration",
            "s",
            "Time of one store call, including failed calls.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._thread = _OfThread()

    def decided(self, decisions: Sequence[Decision], seconds: float) -> None:
        single = len(decisions) == 1
        for kind, count in _counted(decisions):
            self._checks.add(count, kind)
        self._duration.record(seconds, _SINGLE if single else _BATCH)
        if not self._thread.is_silent:
            ended = time.time_ns()
            self._record(decisions, ended - _nanoseconds(seconds), ended, None)

    def store_called(self, seconds: float) -> None:
        self._store_duration.record(seconds)
        self._thread.calls.append((time.time_ns(), seconds))

    def leave_spans_to_callers(self) -> None:
        """From now on, decisions of this thread have a span only by :meth:`answering`."""
        self._thread.is_silent = True

    @contextmanager
    def called_by(self, headers: Mapping[str, str]) -> Iterator[None]:
        """Spans in the block belong to the trace that the caller names in the ``headers``: by default ``traceparent``
        (https://www.w3.org/TR/trace-context/). Their names are those of ``META``, or in small letters."""
        token = self._context.attach(self._propagate.extract(headers, getter=_HEADERS))
        try:
            yield
        finally:
            self._context.detach(token)

    def within(self, headers: Mapping[str, str], work: Callable[[], Result]) -> Callable[[], Result]:
        """``work``, run in :meth:`called_by`, whichever thread runs it."""

        def run() -> Result:
            with self.called_by(headers):
                return work()

        return run

    def answering(self, headers: Mapping[str, str], done: Callable[[Any], None]) -> Callable[[Any], None]:
        """``done``, which is called with the decision that another thread made of a check that begins now; the span
        ends with that call."""
        began, parent = time.time_ns(), self._propagate.extract(headers, getter=_HEADERS)

        def answered(result: Any) -> None:
            if isinstance(result, Decision):
                self._record((result,), began, time.time_ns(), parent)
            done(result)

        return answered

    def _record(self, decisions: Sequence[Decision], began: int, ended: int, parent: Any) -> None:
        """One span for one call of the engine. ``began``, ``ended``: nanoseconds since 1970. ``parent``: the context of
        the caller; None: that of this thread."""
        trace = self._trace
        is_remote = trace.get_current_span(parent).get_span_context().is_remote
        kind = trace.SpanKind.SERVER if is_remote else trace.SpanKind.INTERNAL
        single = len(decisions) == 1
        name, attributes = ("check", _of_check(decisions[0])) if single else ("checks", _of_batch(decisions))
        span = self._tracer.start_span(f"ratelimit.{name}", parent, kind, attributes, start_time=began)
        if parent is None and span.is_recording():
            for at, seconds in self._thread.calls:
                if at >= began:
                    span.add_event("store call", {"ratelimit.store.call.duration": seconds}, at)
        span.end(ended)


class _OfThread(threading.local):
    """``calls``: (end in nanoseconds since 1970, duration in seconds) of the last calls of the store."""

    def __init__(self) -> None:
        self.is_silent = False
        self.calls: deque[tuple[int, float]] = deque(maxlen=_MAX_CALLS)


class _Headers:
    """Reads headers by their names in ``META`` or in small letters (a ``Getter`` of OpenTelemetry)."""

    def get(self, carrier: Mapping[str, str], key: str) -> list[str] | None:
        value = carrier.get(f"HTTP_{key.upper().replace('-', '_')}") or carrier.get(key)
        return None if value is None else [value]

    def keys(self, carrier: Mapping[str, str]) -> list[str]:
        return [key.removeprefix("HTTP_").replace("_", "-").lower() for key in carrier]


_HEADERS: Any = _Headers()


_SINGLE: Attributes = {"ratelimit.batch": False}
_BATCH: Attributes = {"ratelimit.batch": True}


def _counted(decisions: Sequence[Decision]) -> Iterable[tuple[Attributes, int]]:
    """What the metrics distinguish → the number of decisions."""
    if len(decisions) == 1:
        return ((_kind(*_what(decisions[0])), 1),)
    return [(_kind(*what), count) for what, count in Counter(map(_what, decisions)).items()]


def _what(decision: Decision) -> tuple[str | None, str, bool]:
    return decision.endpoint, outcome_of(decision), decision.degraded


@lru_cache(maxsize=1024)
def _kind(endpoint: str | None, outcome: str, degraded: bool) -> Attributes:
    kind: Attributes = {"ratelimit.outcome": outcome, "ratelimit.degraded": degraded}
    return kind if endpoint is None else kind | {"ratelimit.endpoint": endpoint}


def _of_check(decision: Decision) -> Attributes:
    attributes: Attributes = {
        "ratelimit.outcome": outcome_of(decision),
        "ratelimit.degraded": decision.degraded,
        "ratelimit.limits": len(decision.limits),
    }
    if decision.endpoint is not None:
        attributes["ratelimit.endpoint"] = decision.endpoint
    if decision.reason is not None:
        attributes["ratelimit.reason"] = decision.reason.value
    return attributes


def _of_batch(decisions: Sequence[Decision]) -> Attributes:
    return {
        "ratelimit.checks": len(decisions),
        "ratelimit.denied": sum(not decision.allowed for decision in decisions),
        "ratelimit.degraded": any(decision.degraded for decision in decisions),
    }


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)


started: Telemetry | None = None
"""The telemetry of this process; None before :func:`start`."""


def start() -> Telemetry:
    """Observes this process from now on, beside the observers that it has; further calls do nothing. Raises
    ``ImportError`` without the package ``opentelemetry-api``."""
    global started
    if started is None:
        started = Telemetry()
        observers.add(started)
    return started
