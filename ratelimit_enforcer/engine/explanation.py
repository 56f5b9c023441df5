"""Explains a decision: all policies of the client, including those that do not apply, those of its ancestors, and the
counters."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ratelimit_enforcer.domain import blocks
from ratelimit_enforcer.domain.attributes import IP
from ratelimit_enforcer.domain.blocks import Block
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.dates import date_and_time, moment_of
from ratelimit_enforcer.domain.decision import CheckRequest, Decision, LimitState
from ratelimit_enforcer.domain.enums import ClientStatus, Mode, OverQuota, Partition, Reason
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.domain.segments import SegmentOverride
from ratelimit_enforcer.domain.selection import described, plan_of
from ratelimit_enforcer.domain.validation import capitalized
from ratelimit_enforcer.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class PolicyExplanation:
    """One policy, for one client on one endpoint. ``why`` is a sentence; ``limits`` are the states of the
    counters (empty if the policy does not apply). ``level``: whose policy it is: 0 the client's, 1 the parent's, and
    so on."""

    policy: Policy
    applies: bool
    why: str
    limits: tuple[LimitState, ...] = ()
    level: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision that a request would get now, the ruleset behind the decision, and the reasons. ``records``: the
    client and its ancestors, from the client up. ``block``: the one that denies the request; None if it is admitted or
    denied for another reason."""

    decision: Decision
    ruleset: Ruleset
    policies: tuple[PolicyExplanation, ...]
    records: tuple[ClientRecord, ...]
    block: Block | None = None

    @property
    def blocked_by(self) -> str:
        """The block or the blocked ancestor in words; empty if there is none."""
        if self.block:
            return f"The client is blocked: the {blocks.described(self.block)}."
        ancestor = blocked_ancestor(self.records) if self.decision.reason is Reason.BLOCKED else ""
        return f"The client is blocked: {ancestor} is blocked." if ancestor else ""

    @property
    def plan(self) -> str:
        """The client's plan in words: “plan pro”, “no plan”."""
        return f"plan {self.decision.plan}" if self.decision.plan else "no plan"

    @property
    def ancestors(self) -> tuple[str, ...]:
        """A sentence about each ancestor, from the parent up."""
        return tuple(
            f"{capitalized(name_at(level, record))} {_contribution(self.ruleset, record)}."
            for level, record in enumerate(self.records)
            if level
        )


def name_at(level: int, record: ClientRecord) -> str:
    """The client or ancestor in words: “the client”, “the parent acme”, “the ancestor holding”."""
    if not level:
        return "the client"
    return f"the {'parent' if level == 1 else 'ancestor'} {record.key}"


def blocked_ancestor(records: Sequence[ClientRecord]) -> str:
    """The ancestor whose status blocks the client, in words: “the parent acme”; empty if there is none, or if the
    client's own status does. ``records``: from the client up."""
    blocked = (each for each in enumerate(records) if each[1].status is ClientStatus.BLOCKED)
    level, record = next(blocked, (0, None))
    return name_at(level, record) if level and record else ""


def _contribution(ruleset: Ruleset, record: ClientRecord) -> str:
    if record.status is ClientStatus.BLOCKED:
        return "is blocked"
    if record.status is ClientStatus.EXEMPT:
        return "is exempt, so its limits do not apply"
    plan = plan_of(ruleset, record)
    return f"is on plan {plan}" if plan else "has no plan, so it adds no limits"


def explain(engine: Engine, request: CheckRequest) -> Explanation:
    """Explains without consuming. Raises :class:`~ratelimit_enforcer.engine.RulesetMissing`."""
    rulesets: list[Ruleset] = []
    decision = engine.check(request, consume=False, guard=rulesets.append)
    # The ruleset of the last attempt is the one that decided.
    ruleset, now = rulesets[-1], engine.now()
    records = engine.records_of(decision.client)
    if (variant := ruleset.variant_for(records[-1], now)) is not None:
        ruleset = ruleset.with_rules(variant.rules)
    policies = tuple(_policies(ruleset, decision, records, now, request.attributes))
    block = _block(ruleset, decision, records, now, request.attributes.get(IP, ""))
    return Explanation(decision, ruleset, policies, records, block)


def _block(
    ruleset: Ruleset, decision: Decision, records: Sequence[ClientRecord], now: int, address: str
) -> Block | None:
    """The block behind a denial. A client whose status is blocked may have none."""
    if decision.reason is not Reason.BLOCKED:
        return None
    return ruleset.blocks_by_subject.active(tuple(record.key for record in records), address, now)


@dataclass(frozen=True, slots=True)
class _Subject:
    """The client (level 0) or an ancestor, with its plan in this ruleset."""

    level: int
    record: ClientRecord
    plan: str | None

    @property
    def name(self) -> str:
        return name_at(self.level, self.record)


def _policies(
    ruleset: Ruleset, decision: Decision, records: Sequence[ClientRecord], now: int, attributes: Mapping[str, str]
) -> Iterator[PolicyExplanation]:
    states_of: defaultdict[tuple[str, str | None], list[LimitState]] = defaultdict(list)
    for state in decision.limits:
        states_of[state.policy, state.client].append(state)
    applied_to_all = set[str]()
    for subject, policy in _policies_of_subjects(ruleset, records):
        if policy.slug in applied_to_all:
            continue
        counts_clients = policy.partition is Partition.CLIENT
        reason_not_applied = _reason_not_applied(policy, subject, decision.endpoint, now) or _unmatched_condition(
            policy, subject, attributes
        )
        if reason_not_applied:
            yield PolicyExplanation(policy, False, reason_not_applied, level=subject.level)
            continue
        states = tuple(states_of[policy.slug, subject.record.key if counts_clients else None])
        why = _reason_applied(ruleset, policy, subject) + _source_of_limits(states, subject)
        yield PolicyExplanation(policy, True, why, states, subject.level)
        if not counts_clients:
            applied_to_all.add(policy.slug)


def _policies_of_subjects(ruleset: Ruleset, records: Sequence[ClientRecord]) -> Iterator[tuple[_Subject, Policy]]:
    """Yields all policies for the client, except those that only its ancestors have, and then for each ancestor those
    of its plan."""
    client, *ancestors = (_Subject(level, each, plan_of(ruleset, each)) for level, each in enumerate(records))
    limiting = [ancestor for ancestor in ancestors if ancestor.record.status is not ClientStatus.EXEMPT]
    inherited = {ancestor.plan for ancestor in limiting} - {client.plan, None}
    yield from ((client, policy) for policy in ruleset.policies if policy.plan not in inherited)
    for ancestor in limiting:
        if ancestor.plan is not None:
            yield from ((ancestor, policy) for policy in ruleset.policies if policy.plan == ancestor.plan)


def _source_of_limits(states: tuple[LimitState, ...], subject: _Subject) -> str:
    override = states[0].override if states else None
    if override is None:
        return ""
    whose = "the" if isinstance(override, SegmentOverride) else f"{subject.name}'s"
    return f" The limits come from {whose} {described(override)}."


def _reason_not_applied(policy: Policy, subject: _Subject, endpoint: str | None, now: int) -> str:
    if policy.mode is Mode.DISABLED:
        return "The policy is disabled."
    if policy.plan not in (None, subject.plan):
        has = f"is on {subject.plan}" if subject.plan else "has a parent and no plan"
        return f"It applies to plan {policy.plan}; {subject.name} {has}."
    if policy.endpoint is not None and endpoint is None:
        return f"It applies to endpoint {policy.endpoint}; this endpoint is unregistered."
    if policy.endpoint not in (None, endpoint):
        return f"It applies to endpoint {policy.endpoint}."
    return _reason_inactive(policy, now)


def _unmatched_condition(policy: Policy, subject: _Subject, attributes: Mapping[str, str]) -> str:
    unmatched = policy.match.unmatched(attributes, subject.record.tags, subject.name)
    return f"It applies only if {unmatched}." if unmatched else ""


def _reason_inactive(policy: Policy, now: int) -> str:
    if policy.starts_at is not None and now < policy.starts_at:
        return f"It applies from {date_and_time(moment_of(policy.starts_at))}."
    if policy.ends_at is not None and now >= policy.ends_at:
        return f"It applied until {date_and_time(moment_of(policy.ends_at))}."
    return ""


def _reason_applied(ruleset: Ruleset, policy: Policy, subject: _Subject) -> str:
    plan = f"plan {policy.plan}" if policy.plan else "every plan"
    whose = f" of {subject.name}" if subject.level else ""
    clients = f"{subject.record.key} and the clients below it" if subject.level else "a client"
    endpoint = f"endpoint {policy.endpoint}" if policy.endpoint else f"all requests of {clients}"
    shadow = " It only reports and never denies." if ruleset.mode_of(policy) is Mode.SHADOW else ""
    counts = policy.over_quota is OverQuota.COUNT
    over_quota = " It admits requests beyond the quota of its calendar limits, and counts the units." if counts else ""
    return f"It applies to {plan}{whose} and {endpoint}.{shadow}{over_quota}"
