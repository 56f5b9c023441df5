"""Selects the limits that apply to a request: those of the matching policies, with the overrides in force, for the
client and for each of its ancestors.

A client has the policies of its plan, and those without a plan. An ancestor has only those of its plan. Tags and
overrides are those of the client or ancestor whose policy it is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ratelimit_enforcer.domain.attributes import CLIENT, NO_ATTRIBUTES
from ratelimit_enforcer.domain.client import ClientRecord, Override
from ratelimit_enforcer.domain.dates import end_in_words
from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus, Mode, OverQuota, Partition
from ratelimit_enforcer.domain.fixed_window import window_bounds
from ratelimit_enforcer.domain.grants import MAX_ID, Grant, in_order
from ratelimit_enforcer.domain.limit import Limit, longest_calendar_limit
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.domain.ruleset import Ruleset
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
    limits in force: those of the override, if there is one. ``level``: whose policy it is: 0 the client's, 1 the
    parent's, and so on."""

    policy: Policy
    mode: Mode
    limits: tuple[Limit, ...]
    override: Override | SegmentOverride | None = None
    level: int = 0
    grants: tuple[Grant, ...] = ()
    """Those that can be consumed now, in the order in which they are."""

    @cached_property
    def named(self) -> tuple[NamedLimit, ...]:
        """The limits of this policy, each with its name in answers and headers."""
        return tuple(
            NamedLimit(self.name_of(limit), self.policy.slug, self.mode, limit, self.override) for limit in self.limits
        )

    def name_of(self, limit: Limit) -> str:
        """The limit's name in answers and headers: ``pro-search:60s``; of the parent ``pro-search:60s~1``."""
        name = self.policy.name_of(limit)
        return f"{name}~{self.level}" if self.level else name

    @cached_property
    def counting_limit(self) -> Limit | None:
        """The limit whose units beyond the quota the policy counts; None: it has no calendar limit."""
        return longest_calendar_limit(self.limits)

    def grants_of(self, limit: Limit) -> tuple[Grant, ...]:
        """The grants that extend this limit: those of the policy, if it is the calendar limit with the longest
        period."""
        return self.grants if self.grants and limit == self.counting_limit else ()

    def admits_over_quota(self, limit: Limit) -> bool:
        """Whether this limit of the policy admits requests beyond its quota, and counts the units."""
        return limit.algorithm is Algorithm.CALENDAR and self.policy.over_quota is OverQuota.COUNT

    def without_places(self) -> "EffectivePolicy":
        """The same policy without its concurrency limit."""
        return replace(self, limits=tuple(each for each in self.limits if each.algorithm is not Algorithm.CONCURRENCY))


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
            return replace(self, valid_until=_earliest(edge, self.valid_until))
        return replace(self, valid_from=_latest(edge, self.valid_from))

    def without_places(self) -> "Selection":
        """The same without concurrency limits, and without policies that have no other limits."""
        kept = (each.without_places() for each in self.policies)
        return replace(self, policies=tuple(each for each in kept if each.limits))


def described(override: Override | SegmentOverride) -> str:
    """“override until 24 Dec 2026, 00:00 UTC”, “override for clients with the tag wholesale with no end”."""
    whom = f" for {override.segment}" if isinstance(override, SegmentOverride) else ""
    return f"override{whom} {end_in_words(override.ends_at)}"


def plan_of(ruleset: Ruleset, record: ClientRecord) -> str | None:
    """The client's plan. For a root the default plan if it has none, or if its plan is not in this ruleset
    (which happens while a publication that removes the plan and the client's own change are under way); None for a
    client below a parent."""
    if record.plan in ruleset.plan_slugs:
        return record.plan
    return ruleset.default_plan if record.parent is None else None


def status_of(record: ClientRecord, ancestors: Iterable[ClientRecord]) -> ClientStatus:
    """The status of a client in checks: blocked if the client or an ancestor is, otherwise the client's own."""
    if any(ancestor.status is ClientStatus.BLOCKED for ancestor in ancestors):
        return ClientStatus.BLOCKED
    return record.status


def matching(ruleset: Ruleset, plan: str | None, endpoint: str | None) -> tuple[Policy, ...]:
    """The enabled policies that apply to a plan (None: no plan) on an endpoint (None: an unregistered endpoint)."""
    return tuple(
        policy
        for policy in ruleset.policies
        if ruleset.mode_of(policy) is not Mode.DISABLED and policy.applies_to(plan, endpoint)
    )


def select(
    ruleset: Ruleset,
    record: ClientRecord,
    endpoint: str | None,
    now: int,
    attributes: Mapping[str, str] = NO_ATTRIBUTES,
    ancestors: Sequence[ClientRecord] = (),
) -> Selection:
    """The limits that apply to a check with these attributes by this client on this endpoint, at ``now``
    (microseconds since 1970). ``ancestors``: the client's, from the parent up."""

    def applying(subject: ClientRecord) -> Iterator[Policy]:
        policies = matching(ruleset, plan_of(ruleset, subject), endpoint)
        return (policy for policy in policies if policy.match.includes(attributes, subject.tags))

    return _with_ancestors(ruleset, record, ancestors, applying, now)


def select_all(
    ruleset: Ruleset,
    record: ClientRecord,
    now: int,
    attributes: Mapping[str, str] = NO_ATTRIBUTES,
    ancestors: Sequence[ClientRecord] = (),
) -> Selection:
    """The limits that count this client or an ancestor separately, on any endpoint: of policies without attributes,
    and of those for whose attributes there are values."""

    def applying(subject: ClientRecord) -> Iterator[Policy]:
        plan = plan_of(ruleset, subject)
        return (
            policy
            for policy in ruleset.policies
            if policy.plan in (None, plan)
            and policy.partition is Partition.CLIENT
            and ruleset.mode_of(policy) is not Mode.DISABLED
            and all(name in attributes for name in policy.attributes)
            and policy.match.includes(attributes, subject.tags)
        )

    return _with_ancestors(ruleset, record, ancestors, applying, now)


def _with_ancestors(
    ruleset: Ruleset,
    record: ClientRecord,
    ancestors: Iterable[ClientRecord],
    applying: Callable[[ClientRecord], Iterable[Policy]],
    now: int,
) -> Selection:
    """The policies ``applying`` to the client and to each ancestor; those without a plan apply to the client alone."""
    whole = effective(ruleset, record, applying(record), now)
    for level, ancestor in enumerate(ancestors, 1):
        if ancestor.status is not ClientStatus.EXEMPT:
            inherited = [policy for policy in applying(ancestor) if policy.plan is not None]
            whole = _combined(whole, effective(ruleset, ancestor, inherited, now, level))
    return whole


def _combined(lower: Selection, upper: Selection) -> Selection:
    """Both selections. A policy that counts no client separately is in it once: both have the same counter."""
    shared = {each.policy.slug for each in lower.policies if each.policy.partition is Partition.GLOBAL}
    return Selection(
        lower.policies + tuple(each for each in upper.policies if each.policy.slug not in shared),
        valid_from=_latest(lower.valid_from, upper.valid_from),
        valid_until=_earliest(lower.valid_until, upper.valid_until),
    )


def _latest(*edges: int | None) -> int | None:
    return max((edge for edge in edges if edge is not None), default=None)


def _earliest(*edges: int | None) -> int | None:
    return min((edge for edge in edges if edge is not None), default=None)


def effective(
    ruleset: Ruleset, record: ClientRecord, policies: Iterable[Policy], now: int, level: int = 0
) -> Selection:
    """These policies as they apply to one client at ``now`` (microseconds since 1970); ``level``: as for
    :class:`EffectivePolicy`."""
    dated = tuple(policies)
    policies = tuple(policy for policy in dated if policy.is_active(now))
    slugs = {policy.slug for policy in policies if policy.partition is Partition.CLIENT}
    relevant = [override for override in _overrides_of(ruleset, record) if override.policy in slugs]
    active: dict[str, Override | SegmentOverride] = {}
    for override in relevant:
        if override.is_active(now):
            active.setdefault(override.policy, override)
    grants = _grants_of(record, policies)
    granted = in_order(grant for grant in grants if grant.is_active(now))
    chosen = tuple(_effective(ruleset, policy, active.get(policy.slug), level, granted) for policy in policies)
    dates = {date for policy in dated for date in policy.dates}
    dates_of_grants = (date for grant in grants for date in (grant.starts_at, grant.ends_at))
    edges = {*dates, *dates_of_grants, *_edges_of_overrides(relevant), *_edges_of_periods(chosen, now)}
    return Selection(
        chosen,
        valid_from=max((edge for edge in edges if edge <= now), default=None),
        valid_until=min((edge for edge in edges if edge > now), default=None),
    )


def _overrides_of(ruleset: Ruleset, record: ClientRecord) -> Iterator[Override | SegmentOverride]:
    """All overrides for a client, the most specific first: the client's own, then those of segments."""
    yield from record.overrides
    yield from ruleset.overrides_by_segment.of(record.key, record.tags, plan_of(ruleset, record))


def _grants_of(record: ClientRecord, policies: Iterable[Policy]) -> list[Grant]:
    """The client's grants on those of these policies that count each client separately, and nothing else."""
    if not record.grants:
        return []
    slugs = {policy.slug for policy in policies if policy.partition_names == (CLIENT,)}
    return [grant for grant in record.grants if grant.policy in slugs and grant.id <= MAX_ID]


def _effective(
    ruleset: Ruleset,
    policy: Policy,
    override: Override | SegmentOverride | None,
    level: int,
    granted: Sequence[Grant],
) -> EffectivePolicy:
    limits = override.limits if override else policy.limits
    level = level if policy.partition is Partition.CLIENT else 0
    grants = tuple(grant for grant in granted if grant.policy == policy.slug)
    return EffectivePolicy(
        policy, ruleset.mode_of(policy), limits, override, level, grants if longest_calendar_limit(limits) else ()
    )


def _edges_of_overrides(overrides: Iterable[Override | SegmentOverride]) -> Iterator[int]:
    for override in overrides:
        yield from (edge for edge in (override.starts_at, override.ends_at) if edge is not None)


def _edges_of_periods(policies: Iterable[EffectivePolicy], now: int) -> Iterator[int]:
    for policy in policies:
        for limit in policy.limits:
            if limit.algorithm is Algorithm.CALENDAR:
                yield from window_bounds(limit, now)
