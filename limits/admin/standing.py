"""Where a client stands: its limits in words, whose they are, and how much of each is used now."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from limits.domain.client import ClientRecord, Override, microseconds
from limits.domain.decision import LimitState
from limits.domain.limit import SECOND
from limits.domain.ruleset import Policy, Ruleset
from limits.domain.selection import plan_of
from limits.domain.wording import duration, limit_sentence, limits_sentence
from limits.domain.words import ClientStatus, Mode, Partition
from limits.enforcement import RulesetMissing, Standing, StoreError, get_engine
from limits.models import Publication

AWAY = (
    "Redis cannot be reached, so the usage at this moment is not known. Until it is back, each policy does what it "
    "says for that case."
)

NEARLY = 0.8
"""The used part of a quota from which on somebody is close to it."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One limit as a bar. ``source``: whose limit it is. ``used`` and ``capacity`` are whole units
    of cost."""

    name: str
    policy: str
    endpoint: str
    sentence: str
    source: str
    used: int
    capacity: int
    mode: Mode
    comes_back: str

    @property
    def is_full(self) -> bool:
        return self.used >= self.capacity

    @property
    def is_nearly_full(self) -> bool:
        return not self.is_full and self.used >= NEARLY * self.capacity


@dataclass(frozen=True, slots=True)
class ClientStanding:
    """``bars``: every limit that counts this client by itself. ``shared``: sentences of the limits
    that count all clients together. ``problem``: why it is not known, else empty."""

    plan: str | None = None
    status: ClientStatus = ClientStatus.ACTIVE
    bars: tuple[Bar, ...] = ()
    shared: tuple[str, ...] = ()
    problem: str = ""


def standing_of(key: str) -> ClientStanding:
    """Looks at the counters, and uses nothing up."""
    try:
        seen = get_engine().look_at_client(key)
    except RulesetMissing:
        return ClientStanding(problem=why_no_rules())
    except StoreError:
        return ClientStanding(problem=AWAY)
    ruleset = seen.ruleset
    plan = plan_of(ruleset, seen.record)
    return ClientStanding(
        plan=next((each.name for each in ruleset.plans if each.slug == plan), None),
        status=seen.record.status,
        bars=tuple(_bars(seen)),
        shared=tuple(_shared(ruleset, seen.record)),
    )


def why_no_rules() -> str:
    """Why this process holds no rules: there are none, or it could not read them."""
    return AWAY if Publication.objects.exists() else "Nothing has been published yet, so nothing is limited."


def _bars(seen: Standing) -> Iterator[Bar]:
    ruleset = seen.ruleset
    policies = {policy.slug: policy for policy in ruleset.policies}
    names = {endpoint.slug: endpoint.name for endpoint in ruleset.endpoints}
    sources = _Sources(ruleset, seen.record, microseconds(datetime.now(UTC)))
    for state in seen.decision.limits:
        endpoint = seen.endpoints[state.policy]
        yield Bar(
            name=state.name,
            policy=state.policy,
            endpoint=names.get(endpoint, endpoint) if endpoint else "All requests",
            sentence=limit_sentence(state.limit),
            source=sources.of(policies[state.policy]),
            used=used(state),
            capacity=state.limit.capacity,
            mode=state.mode,
            comes_back=comes_back(state),
        )


def used(state: LimitState) -> int:
    """Whole units of cost that are used now."""
    return max(0, state.limit.capacity - state.remaining)


def comes_back(state: LimitState) -> str:
    """“more in 12 seconds, unused again in 58 seconds”; empty where nothing is used."""
    if state.next_capacity_after is None:
        return ""
    return f"more in {about(state.next_capacity_after)}, unused again in {about(state.reset_after)}"


def about(seconds: float) -> str:
    """“0.4 seconds”, “58 seconds”, “about 3 hours”"""
    if seconds < 10:
        return f"{seconds:.1f} seconds"
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    unit = 60 if seconds < 7_200 else 3_600 if seconds < 172_800 else 86_400
    words = duration(round(seconds / unit) * unit)
    return f"about {words if words[0].isdigit() else f'one {words}'}"


class _Sources:
    """Whose the limits of a client are, policy by policy."""

    def __init__(self, ruleset: Ruleset, record: ClientRecord, now: int) -> None:
        self._overrides = {each.policy: each for each in record.overrides if each.is_active(now)}
        self._plans = {plan.slug: plan.name for plan in ruleset.plans}
        self._is_default = record.plan is None or record.plan not in self._plans

    def of(self, policy: Policy) -> str:
        if override := self._overrides.get(policy.slug):
            return f"override{_until(override)}"
        if policy.plan is None:
            return "every plan"
        name = self._plans[policy.plan]
        return f"default plan, {name}" if self._is_default else f"plan {name}"


def _until(override: Override) -> str:
    if override.ends_at is None:
        return ", without an end"
    return f" until {datetime.fromtimestamp(override.ends_at / SECOND, UTC):%a %-d %b %Y, %H:%M} UTC"


def _shared(ruleset: Ruleset, record: ClientRecord) -> Iterator[str]:
    plan = plan_of(ruleset, record)
    for policy in ruleset.policies:
        is_on = policy.plan in (None, plan) and ruleset.mode_of(policy) is not Mode.DISABLED
        if is_on and policy.partition is Partition.GLOBAL:
            where = f"on {policy.endpoint}" if policy.endpoint else "on all requests"
            yield f"{limits_sentence(policy.limits)} {where} ({policy.slug})"
