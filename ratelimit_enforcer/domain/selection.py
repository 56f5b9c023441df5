"""Selects the limits that apply to a request: those of the matching policies, with the client's overrides in force."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from ratelimit_enforcer.domain.attributes import NO_ATTRIBUTES
from ratelimit_enforcer.domain.client import ClientRecord, Override
from ratelimit_enforcer.domain.dates import date_and_time, moment_of
from ratelimit_enforcer.domain.enums import Algorithm, Mode, Partition
from ratelimit_enforcer.domain.fixed_window import window_bounds
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.ruleset import Policy, Ruleset
from ratelimit_enforcer.domain.segments import SegmentOverride
from ratelimit_enforcer.per_process import cached_property


class NamedLimit(NamedTuple):
    """A limit with its name in answers and headers, the slug and mode of its policy, and the override that it
    comes from (None: the policy)."""

    name: str
    policy: str
    mode: Mode
    limit: Limit
    override: Override | SegmentOverride | None


@dataclass(frozen=True)
class EffectivePolicy:
    """A policy as it currently applies to one client: the mode with the emergency switch applied, and the
    limits in force: those of the override, if there is one."""

    policy: Policy
    mode: Mode
    limits: tuple[Limit, ...]
    override: Override | SegmentOverride | None = None

    @cached_property
    def named(self) -> tuple[NamedLimit, ...]:
        """The limits of this policy, each with its name in answers and headers."""
        return tuple(
            NamedLimit(self.policy.name_of(limit), self.policy.slug, self.mode, limit, self.override)
            for limit in self.limits
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """The effective policies of one client on one endpoint, and the period for which they are valid
    (microseconds since 1970, the end excluded; None: open-ended)."""

    policies: tuple[EffectivePolicy, ...]
    valid_from: int | None = None
    valid_until: int | None = None

    def divided_at(self, edge: int, now: int) -> "Selection":
        """The same, valid on that side of ``edge`` on which ``now`` is (microseconds since 1970; an edge of 0
        divides nothing)."""
        if not edge:
            return self
        if now < edge:
            return replace(self, valid_until=edge if self.valid_until is None else min(edge, self.valid_until))
        return replace(self, valid_from=edge if self.valid_from is None else max(edge, self.valid_from))


def described(override: Override | SegmentOverride) -> str:
    """“override until 24 Dec 2026, 00:00 UTC”, “override for clients with the tag wholesale with no end”."""
    whom = f" for {override.segment}" if isinstance(override, SegmentOverride) else ""
    end = "with no end" if override.ends_at is None else f"until {date_and_time(moment_of(override.ends_at))}"
    return f"override{whom} {end}"


def plan_of(ruleset: Ruleset, record: ClientRecord) -> str | None:
    """The client's plan. The default plan if the client has none, or if its plan is not in this ruleset
    (which happens while a publication that removes the plan and the client's own change are under way)."""
    return record.plan if record.plan in ruleset.plan_slugs else ruleset.default_plan


def matching(ruleset: Ruleset, plan: str, endpoint: str | None) -> tuple[Policy, ...]:
    """The enabled policies that apply to a plan on an endpoint (None: an unregistered endpoint)."""
    return tuple(
        policy
        for policy in ruleset.policies
        if ruleset.mode_of(policy) is not Mode.DISABLED and policy.applies_to(plan, endpoint)
    )


def own_policies(
    ruleset: Ruleset, record: ClientRecord, attributes: Mapping[str, str] = NO_ATTRIBUTES
) -> tuple[Policy, ...]:
    """The policies that count this client separately, on any endpoint: those without attributes, and those for
    whose attributes there are values."""
    plan = plan_of(ruleset, record)
    return tuple(
        policy
        for policy in ruleset.policies
        if policy.plan in (None, plan)
        and policy.partition is Partition.CLIENT
        and ruleset.mode_of(policy) is not Mode.DISABLED
        and all(name in attributes for name in policy.attributes)
        and policy.match.includes(attributes, record.tags)
    )


def select(
    ruleset: Ruleset,
    record: ClientRecord,
    endpoint: str | None,
    now: int,
    attributes: Mapping[str, str] = NO_ATTRIBUTES,
) -> Selection:
    """The limits that apply to a check with these attributes by this client on this endpoint, at ``now``
    (microseconds since 1970)."""
    plan = plan_of(ruleset, record)
    policies = matching(ruleset, plan, endpoint) if plan is not None else ()
    matched = [policy for policy in policies if policy.match.includes(attributes, record.tags)]
    return effective(ruleset, record, matched, now)


def effective(ruleset: Ruleset, record: ClientRecord, policies: Iterable[Policy], now: int) -> Selection:
    """These policies as they apply to one client at ``now`` (microseconds since 1970)."""
    dated = tuple(policies)
    policies = tuple(policy for policy in dated if policy.is_active(now))
    slugs = {policy.slug for policy in policies if policy.partition is Partition.CLIENT}
    relevant = [override for override in _overrides_of(ruleset, record) if override.policy in slugs]
    active: dict[str, Override | SegmentOverride] = {}
    for override in relevant:
        if override.is_active(now):
            active.setdefault(override.policy, override)
    chosen = tuple(_effective(ruleset, policy, active.get(policy.slug)) for policy in policies)
    dates = {date for policy in dated for date in policy.dates}
    edges = {*dates, *_edges_of_overrides(relevant), *_edges_of_periods(chosen, now)}
    return Selection(
        chosen,
        valid_from=max((edge for edge in edges if edge <= now), default=None),
        valid_until=min((edge for edge in edges if edge > now), default=None),
    )


def _overrides_of(ruleset: Ruleset, record: ClientRecord) -> Iterator[Override | SegmentOverride]:
    """All overrides for a client, the most specific first: the client's own, then those of segments."""
    yield from record.overrides
    yield from ruleset.overrides_by_segment.of(record.key, record.tags, plan_of(ruleset, record))


def _effective(ruleset: Ruleset, policy: Policy, override: Override | SegmentOverride | None) -> EffectivePolicy:
    limits = override.limits if override else policy.limits
    return EffectivePolicy(policy, ruleset.mode_of(policy), limits, override)


def _edges_of_overrides(overrides: Iterable[Override | SegmentOverride]) -> Iterator[int]:
    for override in overrides:
        yield from (edge for edge in (override.starts_at, override.ends_at) if edge is not None)


def _edges_of_periods(policies: Iterable[EffectivePolicy], now: int) -> Iterator[int]:
    for policy in policies:
        for limit in policy.limits:
            if limit.algorithm is Algorithm.CALENDAR:
                yield from window_bounds(limit, now)
