"""The metrics that a server keeps of itself, written as things happen.

Labels take few values: endpoints, policies, outcomes, kinds of errors. Never a client.
"""

from collections.abc import Callable, Sequence

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from limits.domain.decision import Decision
from limits.domain.words import Outcome, Reason
from limits.forking import renewed_when_forked
from limits.models.usage import UNKNOWN_ENDPOINT
from limits.store.observers import Observer

log = structlog.get_logger(__name__)

UNAVAILABLE = "unavailable"
"""The outcome of a request that was answered with 503."""

WOULD_DENY = "would_deny"
"""What a policy in shadow mode says in place of “denied”."""

_FAST = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Bounds in seconds: a check takes a tenth of a millisecond, and its deadline is a tenth of a second."""

_OUTCOMES = {
    None: Outcome.ADMITTED,
    Reason.LIMIT: Outcome.DENIED,
    Reason.COST_EXCEEDS_QUOTA: Outcome.DENIED,
    Reason.BLOCKED: Outcome.BLOCKED,
    Reason.EXEMPT: Outcome.EXEMPT,
}

Recipe = tuple[Callable[[float], None], ...]
"""The counters that one kind of decision counts up."""


class Instruments(Observer):
    """Watches the data plane of one process."""

    def __init__(self) -> None:
        renewed_when_forked(self)

    def renew(self) -> None:
        """prometheus-client's metrics hold locks, and begin at nothing in a forked child."""
        self.registry = CollectorRegistry()
        self._decisions = self._counter(
            "ratelimit_decisions", "Requests decided, peeks excluded.", "endpoint", "outcome"
        )
        self._policies = self._counter(
            "ratelimit_policy_decisions",
            "What each policy said to the requests that it applied to.",
            *("endpoint", "policy", "outcome"),
        )
        self._degraded = self._counter(
            "ratelimit_degraded_decisions", "Requests decided without the whole store.", "endpoint", "outcome"
        )
        self._duration = self._histogram(
            "ratelimit_decision_duration_seconds", "Time from question to decision, for one check or one batch.", "kind"
        )
        self._store_duration = self._histogram(
            "ratelimit_store_call_duration_seconds", "Time of one call of the store, failed ones included."
        )
        self._store_errors = self._counter(
            "ratelimit_store_errors", "Calls that found the store away, by the kind of error.", "error"
        )
        self._breaker_opened = self._counter(
            "ratelimit_store_breaker_opened", "How often a process found the store away and stopped waiting for it."
        )
        self._reloads = self._counter("ratelimit_ruleset_reloads", "Rulesets that processes loaded.")
        self._breaker_open = Gauge(
            "ratelimit_store_breaker_open",
            "Processes of this server that do without the store now.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self._version = Gauge(
            "ratelimit_ruleset_version",
            "The newest ruleset that a process of this server decides by.",
            registry=self.registry,
            multiprocess_mode="livemax",
        )
        self._single = self._duration.labels("check")
        self._batch = self._duration.labels("batch")
        self._recipes: dict[object, Recipe] = {}

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=_FAST)

    def decided(self, decisions: Sequence[Decision], seconds: float) -> None:
        (self._single if len(decisions) == 1 else self._batch).observe(seconds)
        alike: dict[object, list[Decision]] = {}
        for decision in decisions:
            alike.setdefault(_kind(decision), []).append(decision)
        for kind, those in alike.items():
            recipe = self._recipes.get(kind)
            if recipe is None:
                recipe = self._recipes[kind] = self._recipe(those[0])
            for count in recipe:
                count(len(those))

    def _recipe(self, decision: Decision) -> Recipe:
        endpoint = decision.endpoint or UNKNOWN_ENDPOINT
        outcome = outcome_of(decision)
        counters = [self._decisions.labels(endpoint, outcome)]
        counters += [self._policies.labels(endpoint, *said) for said in sorted(_policy_outcomes(decision).items())]
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

    def ruleset_held(self, sequence: int) -> None:
        log.info("ruleset_loaded", version=sequence)
        self._version.set(sequence)
        self._reloads.inc()
        # What the old rules named is not needed any more.
        self._recipes = {}


def _kind(decision: Decision) -> object:
    """Decisions of one kind count up the same counters: which policies applied follows from ruleset,
    plan and endpoint."""
    said = () if decision.undisputed else tuple((state.policy, state.allowed, state.mode) for state in decision.limits)
    who = decision.ruleset, decision.plan, decision.endpoint
    return *who, decision.allowed, decision.reason, decision.degraded, said


def outcome_of(decision: Decision) -> str:
    """How a request came out: an outcome, or ``unavailable``."""
    if decision.reason is Reason.STORE_UNAVAILABLE:
        return Outcome.ADMITTED.value if decision.allowed else UNAVAILABLE
    return _OUTCOMES[decision.reason].value


def _policy_outcomes(decision: Decision) -> dict[str, str]:
    """Policy → what it said: it denies where one of its limits does."""
    said: dict[str, str] = {}
    for state in decision.limits:
        if not state.allowed:
            said[state.policy] = Outcome.DENIED.value if state.is_enforced else WOULD_DENY
        else:
            said.setdefault(state.policy, Outcome.ADMITTED.value)
    return said
