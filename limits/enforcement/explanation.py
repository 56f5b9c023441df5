"""Why a check comes out as it does: the policies, the ones that do not match too, and the counters."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from limits.domain.decision import Decision, LimitState
from limits.domain.ruleset import Policy, Ruleset
from limits.domain.words import Mode
from limits.enforcement.engine import Engine
from limits.enforcement.requests import CheckRequest


@dataclass(frozen=True, slots=True)
class PolicyExplanation:
    """One policy for one client on one endpoint. ``why`` is a sentence; ``limits`` are where the
    counters stand (empty where the policy does not apply)."""

    policy: Policy
    applies: bool
    why: str
    limits: tuple[LimitState, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one request would get now, and why: the decision, and the ruleset that it follows from."""

    decision: Decision
    ruleset: Ruleset
    policies: tuple[PolicyExplanation, ...]


def explain(engine: Engine, request: CheckRequest) -> Explanation:
    """Looks without consuming. Raises :class:`~limits.enforcement.RulesetMissing`."""
    rulesets: list[Ruleset] = []
    decision = engine.check(request, consume=False, guard=rulesets.append)
    # The last attempt is the one that was decided.
    return Explanation(decision, rulesets[-1], tuple(_policies(rulesets[-1], decision)))


def _policies(ruleset: Ruleset, decision: Decision) -> Iterator[PolicyExplanation]:
    states_of: defaultdict[str, list[LimitState]] = defaultdict(list)
    for state in decision.limits:
        states_of[state.policy].append(state)
    for policy in ruleset.policies:
        why_not = _why_not(ruleset, policy, decision)
        states = tuple(states_of[policy.slug])
        why = why_not or _why(ruleset, policy) + _whose_limits(policy, states)
        yield PolicyExplanation(policy, not why_not, why, states)


def _whose_limits(policy: Policy, states: tuple[LimitState, ...]) -> str:
    overridden = states and tuple(state.limit for state in states) != policy.limits
    return " The limits are those of the client's override." if overridden else ""


def _why_not(ruleset: Ruleset, policy: Policy, decision: Decision) -> str:
    if policy.mode is Mode.DISABLED:
        return "It is disabled."
    if policy.plan not in (None, decision.plan):
        return f"It is for plan {policy.plan}; the client is on {decision.plan}."
    if policy.endpoint is not None and decision.endpoint is None:
        return f"It is for endpoint {policy.endpoint}; this is an endpoint that nobody registered."
    if policy.endpoint not in (None, decision.endpoint):
        return f"It is for endpoint {policy.endpoint}."
    return ""


def _why(ruleset: Ruleset, policy: Policy) -> str:
    plan = f"plan {policy.plan}" if policy.plan else "every plan"
    endpoint = f"endpoint {policy.endpoint}" if policy.endpoint else "all requests of a client"
    shadow = " It reports only and never denies." if ruleset.mode_of(policy) is Mode.SHADOW else ""
    return f"It is for {plan} and {endpoint}.{shadow}"
