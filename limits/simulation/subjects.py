"""Which limits count in a simulation: of each client before and after a change, and what is left out."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from limits.simulation.bounds import Count, upper_of
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.enums import Mode, Partition
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Policy, Rules
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.domain.selection import plan_of, select_all


class BoundedLimit(NamedTuple):
    """A limit of a policy on an endpoint (None: all requests of the client together)."""

    policy: str
    endpoint: str | None
    limit: Limit


Limits = tuple[BoundedLimit, ...]


class Profile(NamedTuple):
    """The limits of a client under the live rules and under those of the change. Clients with the same profile are
    simulated together."""

    before: Limits
    after: Limits

    @property
    def limits(self) -> Limits:
        """Those of both, each once."""
        return tuple(dict.fromkeys((*self.before, *self.after)))

    def denying(self, recorded: Sequence["Recorded"]) -> "Profile":
        """The profile without limits that cannot have denied any of these requests."""
        kept = frozenset(each for each in self.limits if can_deny(each, recorded))
        before, after = (tuple(each for each in side if each in kept) for side in self)
        return Profile(before, after)


class Recorded(NamedTuple):
    """What was recorded of a client on one endpoint: requests, the most in one row of usage, the number of rows, and
    whether all requests had cost 1."""

    endpoint: str
    requests: int
    peak: int
    rows: int
    has_unit_cost: bool


OUTCOMES_OF_LIMITS = 2
"""Rows of usage in a minute, of admitted and of denied requests."""


def can_deny(bounded: BoundedLimit, recorded: Iterable[Recorded]) -> bool:
    """Whether the limit may have denied any of these requests. The answer True may be wrong."""
    counted = [each for each in recorded if bounded.endpoint in (None, each.endpoint)]
    upper = upper_of(bounded.limit)
    most = sum(each.requests for each in counted)
    peak = OUTCOMES_OF_LIMITS * sum(each.peak for each in counted)
    if upper.count is Count.BEFORE:
        most = min(most, peak * (upper.minutes + 1))
    if upper.count is Count.PERIOD and upper.minutes:
        most = min(most, peak * upper.minutes)
    return most > upper.capacity


class LeftOut(NamedTuple):
    """What a simulation leaves out, as sentences, and the endpoints whose requests have costs."""

    policies: frozenset[str]
    endpoints_with_costs: frozenset[str]
    sentences: tuple[str, ...]


def left_out_of(before: Rules, after: Rules, now: int) -> LeftOut:
    """What cannot be simulated of these rules. A policy is left out of both or of neither. ``now``: the moment whose
    rules are compared, in microseconds since 1970."""
    reasons = dict(_policies_left_out(before, after, now))
    costs = {each.slug for rules in (before, after) for each in rules.endpoints if each.cost != 1}
    sentences = [f"Policy {slug} is left out: {reason}." for slug, reason in sorted(reasons.items())]
    if costs:
        named = ", ".join(sorted(costs))
        sentences.append(f"Requests to endpoints whose cost is not 1 cannot be simulated: {named}.")
    return LeftOut(frozenset(reasons), frozenset(costs), tuple(sentences))


def _policies_left_out(before: Rules, after: Rules, now: int) -> Iterator[tuple[str, str]]:
    rerouted = _rerouted(before, after)
    for policy in (*before.policies, *after.policies):
        if policy.mode is Mode.ENFORCE and (reason := _reason(policy, rerouted, now)):
            yield policy.slug, reason


def _reason(policy: Policy, rerouted: Collection[str], now: int) -> str:
    if policy.partition is Partition.GLOBAL:
        return "it does not count each client separately"
    if policy.attributes:
        return "it counts values of attributes separately"
    if policy.match.attributes:
        return "it has conditions on attributes"
    if policy.endpoint in rerouted:
        return f"the routes of endpoint {policy.endpoint} change"
    return "" if policy.is_active(now) else "it is not in force at that time"


def _rerouted(before: Rules, after: Rules) -> frozenset[str]:
    """Endpoints whose routes differ, or that are in only one of the rules."""
    routes = [{each.slug: each.routes for each in rules.endpoints} for rules in (before, after)]
    slugs = routes[0].keys() | routes[1].keys()
    return frozenset(slug for slug in slugs if routes[0].get(slug) != routes[1].get(slug))


@dataclass
class Comparison:
    """Two rules that are compared. ``now``: the moment whose policies and overrides count, in microseconds since
    1970."""

    before: Rules
    after: Rules
    now: int
    left_out: LeftOut = field(init=False)
    _profiles: dict[object, Profile] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.left_out = left_out_of(self.before, self.after, self.now)
        self._rulesets = tuple(Ruleset().with_rules(self._simulated(rules)) for rules in (self.before, self.after))

    def _simulated(self, rules: Rules) -> Rules:
        kept = (each for each in rules.policies if each.slug not in self.left_out.policies)
        return replace(rules, policies=tuple(each for each in kept if each.mode is Mode.ENFORCE))

    def plan_of(self, record: ClientRecord) -> str:
        """The plan of a client, under the live rules if it has one."""
        return next(filter(None, (plan_of(ruleset, record) for ruleset in self._rulesets)), "")

    def profile_of(self, record: ClientRecord, recorded: Iterable[Recorded]) -> Profile:
        """The limits of a client without a parent. Limits of requests with other costs than 1 are left out."""
        with_costs = frozenset(each.endpoint for each in recorded if not self._has_unit_cost(each))
        key = (record.plan, record.tags, record.overrides, self._segments_of(record), with_costs)
        if key not in self._profiles:
            before, after = (tuple(_limits_of(ruleset, record, self.now)) for ruleset in self._rulesets)
            self._profiles[key] = Profile(_of_unit_cost(before, with_costs), _of_unit_cost(after, with_costs))
        return self._profiles[key]

    def _has_unit_cost(self, recorded: Recorded) -> bool:
        return recorded.has_unit_cost and recorded.endpoint not in self.left_out.endpoints_with_costs

    def _segments_of(self, record: ClientRecord) -> tuple[tuple[int, ...], ...]:
        return tuple(
            ruleset.overrides_by_segment.positions(record.key, record.tags, plan_of(ruleset, record))
            for ruleset in self._rulesets
        )


def _limits_of(ruleset: Ruleset, record: ClientRecord, now: int) -> Iterator[BoundedLimit]:
    """Yields the limits that deny requests."""
    for each in select_all(ruleset, record, now).policies:
        for limit in (limit for limit in each.limits if not each.admits_over_quota(limit)):
            yield BoundedLimit(each.policy.slug, each.policy.endpoint, limit)


def _of_unit_cost(limits: Limits, with_costs: Collection[str]) -> Limits:
    """Without those that count a request with another cost."""
    if not with_costs:
        return limits
    return tuple(each for each in limits if each.endpoint is not None and each.endpoint not in with_costs)
