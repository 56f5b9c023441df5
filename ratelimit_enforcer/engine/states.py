"""What an engine says about itself and about a client."""

from collections.abc import Sequence
from dataclasses import dataclass

from ratelimit_enforcer.domain.attributes import IP
from ratelimit_enforcer.domain.blocks import Block
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.decision import Decision
from ratelimit_enforcer.domain.enums import ClientStatus
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.engine.attempts import Attempt, decision_of
from ratelimit_enforcer.store.answers import Decided


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this process can decide, and what is missing (``store``, ``ruleset``)."""

    ready: bool
    missing: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """The reasons why this process cannot use the published data, as sentences."""
    store_ruleset: int | None = None
    """The sequence number of the store's current ruleset; None if there is none, or the store does not answer."""


@dataclass(frozen=True, slots=True)
class ClientState:
    """The state of every limit that counts one client separately, and the ruleset used. ``status``: blocked also while
    a block matches. ``endpoints``: policy slug → endpoint slug (None: all requests). ``now``: the store's time, in
    microseconds since 1970. ``block``: the active block that matches; None if there is none. ``ancestors``: from the
    parent up."""

    ruleset: Ruleset
    record: ClientRecord
    status: ClientStatus
    decision: Decision
    endpoints: dict[str, str | None]
    now: int
    block: Block | None = None
    ancestors: tuple[ClientRecord, ...] = ()


def client_state_of(attempts: Sequence[Attempt], answers: Sequence[Decided]) -> ClientState:
    """The state of a client from the answers to attempts that cover all limits."""
    decisions = [decision_of(*pair, consume=False) for pair in zip(attempts, answers, strict=True)]
    limits = tuple(state for decision in decisions for state in decision.limits)
    policies = [each.policy for attempt in attempts for each in attempt.layout.policies]
    endpoints = {policy.slug: policy.endpoint for policy in policies}
    first, now = attempts[0], answers[0].now
    ruleset, address = first.current.ruleset, first.request.attributes.get(IP, "")
    return ClientState(
        ruleset,
        first.record,
        first.layout.status,
        decisions[0]._replace(limits=limits, admitted_by_all=False),
        endpoints,
        now,
        ruleset.blocks_by_subject.active(first.subjects, address, now),
        first.ancestors,
    )
