"""Metrics for Prometheus: those of the decisions of this server, and those of the platform.

The former are updated as decisions and store calls happen. Their labels have few values: endpoints, policies,
outcomes, kinds of errors. Never a client.

The latter are read during the scrape: ``platform_metrics.py``.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from limits.models.usage import UNKNOWN_ENDPOINT
from limits.monitoring.platform_metrics import platform_metrics
from limits.monitoring.prometheus_folder import FOLDER_VARIABLE, remove_gauges_of_ended_processes
from ratelimit_enforcer.domain.decision import Decision
from ratelimit_enforcer.domain.enums import Outcome
from ratelimit_enforcer.domain.outcomes import outcome_of
from ratelimit_enforcer.per_process import once, renew_after_fork
from ratelimit_enforcer.store import observers
from ratelimit_enforcer.store.observers import Observer

log = structlog.get_logger(__name__)

WOULD_DENY = "would_deny"
"""The outcome for a policy in shadow mode, in place of “denied”."""

_DURATION_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Bucket bounds in seconds: a check takes a tenth of a millisecond, and its deadline is a tenth of a second."""

Increments = tuple[Callable[[float], None], ...]
"""The counters that one kind of decision increments."""


class Instruments(Observer):
    """The metrics of one process: an observer of its decisions, store calls, breaker changes and reloads."""

    def __init__(self) -> None:
        renew_after_fork(self)

    def renew(self) -> None:
        """Creates the metrics again: prometheus-client's metrics have locks, and have to begin at zero in a
        forked child."""
        self.registry = CollectorRegistry()
        self._decisions = self._counter(
            "ratelimit_decisions", "Requests decided, peeks excluded.", "endpoint", "outcome"
        )
        self._policies = self._counter(
            "ratelimit_policy_decisions",
            "Decisions of each policy on the requests to which it applied.",
            *("endpoint", "policy", "outcome"),
        )
        self._degraded = self._counter(
            "ratelimit_degraded_decisions", "Requests decided without the complete store.", "endpoint", "outcome"
        )
        self._duration = self._histogram(
            "ratelimit_decision_duration_seconds", "Time to decide one check or one batch.", "kind"
        )
        self._store_duration = self._histogram(
            "ratelimit_store_call_duration_seconds", "Time of one store call, including failed calls."
        )
        self._store_errors = self._counter(
            "ratelimit_store_errors", "Calls that failed because the store was unavailable, by kind of error.", "error"
        )
        self._breaker_opened = self._counter(
            "ratelimit_store_breaker_opened",
            "How often a process opened the breaker of the store.",
        )
        self._reloads = self._counter("ratelimit_ruleset_reloads", "Rulesets that processes loaded.")
        self._breaker_open = Gauge(
            "ratelimit_store_breaker_open",
            "Processes of this server whose breaker is open: they decide without the store.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._version = Gauge(
            "ratelimit_ruleset_version",
            "The newest ruleset that a process of this server uses.",
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._single = self._duration.labels("check")
        self._batch = self._duration.labels("batch")
        self._increments: dict[object, Increments] = {}

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=_DURATION_BUCKETS)

    def decided(self, decisions: Sequence[Decision], seconds: float) -> None:
        (self._single if len(decisions) == 1 else self._batch).observe(seconds)
        by_kind: dict[object, list[Decision]] = {}
        for decision in decisions:
            by_kind.setdefault(_kind(decision), []).append(decision)
        for kind, of_kind in by_kind.items():
            increments = self._increments.get(kind)
            if increments is None:
                increments = self._increments[kind] = self._increments_of(of_kind[0])
            for count in increments:
                count(len(of_kind))

    def _increments_of(self, decision: Decision) -> Increments:
        endpoint = decision.endpoint or UNKNOWN_ENDPOINT
        outcome = outcome_of(decision)
        counters = [self._decisions.labels(endpoint, outcome)]
        counters += [self._policies.labels(endpoint, *pair) for pair in sorted(_policy_outcomes(decision).items())]
        if decision.degraded:
            counters.append(self._degraded.labels(endpoint, outcome))
        return tuple(counter.inc for counter in counters)

    def store_called(self, seconds: float) -> None:
        self._store_duration.observe(seconds)

    def store_failed(self, error: Exception) -> None:
        self._store_errors.labels(type(error.__cause__ or error).__name__).inc()

    def breaker_changed(self, is_open: bool) -> None:
        self._breaker_open.set(is_open)
        if is_open:
            self._breaker_opened.inc()

    def ruleset_loaded(self, sequence: int) -> None:
        log.info("ruleset_loaded", version=sequence)
        self._version.set(sequence)
        self._reloads.inc()
        # Names from old rules are no longer needed.
        self._increments = {}


def _kind(decision: Decision) -> object:
    """Decisions of one kind increment the same counters: the policies that applied follow from ruleset, plan
    and endpoint."""
    outcomes = (
        ()
        if decision.admitted_by_all
        else tuple((state.policy, state.allowed, state.mode) for state in decision.limits)
    )
    rules = decision.ruleset, decision.plan, decision.endpoint
    return *rules, decision.allowed, decision.reason, decision.degraded, outcomes


def _policy_outcomes(decision: Decision) -> dict[str, str]:
    """Returns policy → outcome: a policy denies if one of its limits does."""
    outcomes: dict[str, str] = {}
    for state in decision.limits:
        if not state.allowed:
            outcomes[state.policy] = Outcome.DENIED.value if state.is_enforced else WOULD_DENY
        else:
            outcomes.setdefault(state.policy, Outcome.ADMITTED.value)
    return outcomes


OPENMETRICS = "application/openmetrics-text"


@once
def instruments() -> Instruments:
    """Returns the instruments of this process."""
    return Instruments()


def start_collecting() -> None:
    """Starts collecting metrics of the decisions of this process."""
    observers.install(instruments())


def exposition(accept: str) -> tuple[bytes, str]:
    """Returns all metrics and their content type: OpenMetrics if ``accept`` (the header) includes it, else
    the older text format."""
    registry = CollectorRegistry()
    registry.register(_own_metrics())
    registry.register(PlatformMetrics())
    # The library also parses the rest of the header, and fails on a version that is not a number.
    encode, content_type = choose_encoder(OPENMETRICS if OPENMETRICS in accept else "")
    return encode(registry), content_type


def _own_metrics() -> Collector:
    if FOLDER_VARIABLE not in os.environ:
        return instruments().registry
    path = Path(os.environ[FOLDER_VARIABLE])
    remove_gauges_of_ended_processes(path)
    return MultiProcessCollector(None, str(path))


class PlatformMetrics(Collector):
    """Metrics that are the same on every server, read during the scrape."""

    def describe(self) -> Iterator[Metric]:
        """Returns no descriptions, so that registering does not read anything."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        yield from platform_metrics()
