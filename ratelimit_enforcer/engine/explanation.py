"""Explains a decision: all policies, including those that do not apply, and the counters."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ratelimit_enforcer.domain import blocks
from ratelimit_enforcer.domain.attributes import IP
from ratelimit_enforcer.domain.blocks import Block
from ratelimit_enforcer.domain.dates import date_and_time, moment_of
from ratelimit_enforcer.domain.decision import CheckRequest, Decision, LimitState
from ratelimit_enforcer.domain.enums import Mode, Reason
from ratelimit_enforcer.domain.ruleset import Policy, Ruleset
from ratelimit_enforcer.domain.segments import SegmentOverride
from ratelimit_enforcer.domain.selection import described
from ratelimit_enforcer.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class PolicyExplanation:
    """One policy, for one client on one endpoint. ``why`` is a sentence; ``limits`` are the states of the
    counters (empty if the policy does not apply)."""

    policy: Policy
    applies: bool
    why: str
    limits: tuple[LimitState, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision that a request would get now, the ruleset behind the decision, and the reasons. ``block``: the one
    that denies the request; None if it is admitted or denied for another reason."""

    decision: Decision
    ruleset: Ruleset
    policies: tuple[PolicyExplanation, ...]
    block: Block | None = None

    @property
    def blocked_by(self) -> str:
        """The block in words; empty if there is none."""
        return f"The client is blocked: the {blocks.described(self.block)}." if self.block else ""


def explain(engine: Engine, request: CheckRequest) -> Explanation:
    """Explains without consuming. Raises :class:`~ratelimit_enforcer.engine.RulesetMissing`."""
    rulesets: list[Ruleset] = []
    decision = engine.check(request, consume=False, guard=rulesets.append)
    # The ruleset of the last attempt is the one that decided.
    ruleset, now = rulesets[-1], engine.now()
    policies = tuple(_policies(ruleset, decision, now, request.attributes))
    return Explanation(decision, ruleset, policies, _block(engine, ruleset, decision, request.attributes.get(IP, "")))


def _block(engine: Engine, ruleset: Ruleset, decision: Decision, address: str) -> Block | None:
    """The block behind a denial. A client whose status is blocked may have none."""
    if decision.reason is not Reason.BLOCKED:
        return None
    return ruleset.blocks_by_subject.active(engine.lineage(decision.client), address, engine.now())


def _policies(
    ruleset: Ruleset, decision: Decision, now: int, attributes: Mapping[str, str]
) -> Iterator[PolicyExplanation]:
    states_of: defaultdict[str, list[LimitState]] = defaultdict(list)
    for state in decision.limits:
        states_of[state.policy].append(state)
    for policy in ruleset.policies:
        states = tuple(states_of[policy.slug])
        reason_not_applied = _reason_not_applied(policy, decision, now)
        if not reason_not_applied and not states:
            reason_not_applied = _unmatched_condition(policy, attributes, decision)
        why = reason_not_applied or _reason_applied(ruleset, policy) + _source_of_limits(states)
        yield PolicyExplanation(policy, not reason_not_applied, why, states)


def _source_of_limits(states: tuple[LimitState, ...]) -> str:
    override = states[0].override if states else None
    if override is None:
        return ""
    whose = "the" if isinstance(override, SegmentOverride) else "the client's"
    return f" The limits come from {whose} {described(override)}."


def _reason_not_applied(policy: Policy, decision: Decision, now: int) -> str:
    if policy.mode is Mode.DISABLED:
        return "The policy is disabled."
    if policy.plan not in (None, decision.plan):
        return f"It applies to plan {policy.plan}; the client is on {decision.plan}."
    if policy.endpoint is not None and decision.endpoint is None:
        return f"It applies to endpoint {policy.endpoint}; this endpoint is unregistered."
    if policy.endpoint not in (None, decision.endpoint):
        return f"It applies to endpoint {policy.endpoint}."
    return _reason_inactive(policy, now)


def _unmatched_condition(policy: Policy, attributes: Mapping[str, str], decision: Decision) -> str:
    """The conditions on attributes that do not match. The client's tags are not known here: where all of these
    match and there is a decision by limits, the tags are what does not."""
    unmatched = policy.match.unmatched(attributes, policy.match.client_tags)
    if not unmatched and policy.match.client_tags and decision.reason not in (Reason.BLOCKED, Reason.EXEMPT):
        unmatched = f"the client has the tag{'s' if len(policy.match.client_tags) > 1 else ''} "
        unmatched += " and ".join(policy.match.client_tags)
    return f"It applies only if {unmatched}." if unmatched else ""


def _reason_inactive(policy: Policy, now: int) -> str:
    if policy.starts_at is not None and now < policy.starts_at:
        return f"It applies from {date_and_time(moment_of(policy.starts_at))}."
    if policy.ends_at is not None and now >= policy.ends_at:
        return f"It applied until {date_and_time(moment_of(policy.ends_at))}."
    return ""


def _reason_applied(ruleset: Ruleset, policy: Policy) -> str:
    plan = f"plan {policy.plan}" if policy.plan else "every plan"
    endpoint = f"endpoint {policy.endpoint}" if policy.endpoint else "all requests of a client"
    shadow = " It only reports and never denies." if ruleset.mode_of(policy) is Mode.SHADOW else ""
    return f"It applies to {plan} and {endpoint}.{shadow}"
