"""Which limits a request meets: the policies that match, with the client's overrides in force."""

from dataclasses import dataclass

from limits.domain.client import ClientRecord, Override
from limits.domain.limit import Limit
from limits.domain.ruleset import Policy, Ruleset
from limits.domain.words import Mode, Partition


@dataclass(frozen=True, slots=True)
class EffectivePolicy:
    """A policy as it stands for one client now: its mode with the emergency switch applied, and
    the limits in force, which are the override's where there is one."""

    policy: Policy
    mode: Mode
    limits: tuple[Limit, ...]
    override: Override | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The effective policies of one client on one endpoint, and the time for which this holds
    (microseconds since 1970, the end excluded; None: open)."""

    policies: tuple[EffectivePolicy, ...]
    valid_from: int | None = None
    valid_until: int | None = None


def plan_of(ruleset: Ruleset, record: ClientRecord) -> str | None:
    """The client's plan, or the default one where it has none or its plan is not in this ruleset
    (while a publish that removes the plan and the client's own change pass each other)."""
    known = any(plan.slug == record.plan for plan in ruleset.plans)
    return record.plan if known else ruleset.default_plan


def matching(ruleset: Ruleset, plan: str, endpoint: str | None) -> tuple[Policy, ...]:
    """The policies that count for a plan on an endpoint (None: an endpoint nobody registered)."""
    return tuple(
        policy
        for policy in ruleset.policies
        if ruleset.mode_of(policy) is not Mode.DISABLED and policy.applies_to(plan, endpoint)
    )


def select(ruleset: Ruleset, record: ClientRecord, endpoint: str | None, now: int) -> Selection:
    """What a check of this client on this endpoint meets at ``now`` (microseconds since 1970)."""
    plan = plan_of(ruleset, record)
    policies = matching(ruleset, plan, endpoint) if plan is not None else ()
    slugs = {policy.slug for policy in policies if policy.partition is Partition.CLIENT}
    relevant = tuple(override for override in record.overrides if override.policy in slugs)
    valid_from, valid_until = _validity(relevant, now)
    active = {override.policy: override for override in relevant if override.is_active(now)}
    effective = tuple(_effective(ruleset, policy, active.get(policy.slug)) for policy in policies)
    return Selection(effective, valid_from, valid_until)


def _effective(ruleset: Ruleset, policy: Policy, override: Override | None) -> EffectivePolicy:
    limits = override.limits if override else policy.limits
    return EffectivePolicy(policy, ruleset.mode_of(policy), limits, override)


def _validity(overrides: tuple[Override, ...], now: int) -> tuple[int | None, int | None]:
    """The stretch of time around ``now`` in which no override starts or ends."""
    edges = {edge for override in overrides for edge in (override.starts_at, override.ends_at) if edge is not None}
    past = [edge for edge in edges if edge <= now]
    future = [edge for edge in edges if edge > now]
    return max(past, default=None), min(future, default=None)
