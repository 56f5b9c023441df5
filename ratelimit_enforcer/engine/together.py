"""Requests that are decided together: all are admitted and consume, or none does."""

from collections.abc import Sequence
from typing import NamedTuple

from ratelimit_enforcer.domain.decision import CheckRequest, Decision, LimitState
from ratelimit_enforcer.domain.usage import Count, counts_of_group
from ratelimit_enforcer.engine.attempts import Attempt, Guard, decision_of
from ratelimit_enforcer.engine.fallback import Fallback
from ratelimit_enforcer.engine.loading import Loader, cache_unregistered, counted_together
from ratelimit_enforcer.engine.ruleset_cache import StoreClock
from ratelimit_enforcer.store.answers import (
    Decided,
    NotLoaded,
    Obstacle,
    RulesChanged,
    StoreAnswer,
    Undecidable,
    ValuesExhausted,
)
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.decider import Decider
from ratelimit_enforcer.store.errors import AnswerLost, StoreError
from ratelimit_enforcer.store.requests import StoreRequest, Verb
from ratelimit_enforcer.store.usage import UsageBuffer, UsageWriter

MAX_TOGETHER = 16
"""The number of requests that are decided together."""


def require_group(requests: Sequence[CheckRequest]) -> None:
    """Raises ``ValueError`` for requests that cannot be decided together."""
    if not 1 <= len(requests) <= MAX_TOGETHER:
        raise ValueError(f"1 to {MAX_TOGETHER} requests are decided together, not {len(requests)}.")
    if any(request.reserve for request in requests):
        raise ValueError("A request that is decided together with others makes no reservation.")


class Services(NamedTuple):
    """What deciding needs, shared with other checks of the process."""

    decider: Decider
    loader: Loader
    fallback: Fallback
    usage: UsageWriter
    usage_buffer: UsageBuffer
    clock: StoreClock


class TogetherChecks:
    """Decides several requests as one. Thread-safe."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def decide(
        self, requests: Sequence[CheckRequest], deadline: Deadline, guard: Guard | None, *, consume: bool
    ) -> list[Decision]:
        """A decision on each request by itself; if one is denied, none consumed. A request of cost 0 consumes nothing.
        Raises the exceptions of :meth:`Engine.check`."""
        peeks = [request.cost == 0 for request in requests]
        consume = consume and not all(peeks)
        asked = [
            request._replace(cost=1 if peek else request.cost, takes_places=False)
            for request, peek in zip(requests, peeks, strict=True)
        ]
        changes = 0
        try:
            while True:
                attempts = self._services.loader.attempts(asked, deadline, guard)
                answers = self._ask(attempts, peeks, deadline, Verb.COUNT if consume else Verb.PEEK)
                if not isinstance(answers, Obstacle):
                    return self._decisions(attempts, peeks, answers, deadline, consume=consume)
                attempt, answer = attempts[answers.position], answers.answer
                if isinstance(answer, ValuesExhausted):
                    asked[answers.position] = counted_together(attempt, answer)
                    continue
                changes += isinstance(answer, RulesChanged)
                self._load(attempt, answer, deadline, agreed=changes < 2)
        except StoreError as error:
            attempts = self._services.loader.attempts(asked, deadline.renewed(), guard)
            decisions = self._without_store(attempts, peeks, consume=consume)
            if consume:
                self._count_later(decisions, error.in_doubt)
            return decisions

    def _load(self, attempt: Attempt, answer: StoreAnswer, deadline: Deadline, *, agreed: bool) -> None:
        if isinstance(answer, NotLoaded | Undecidable):
            attempt.drop_records_with_problems()
        self._services.loader.load_difference(attempt, answer, deadline, agreed=agreed)

    def _ask(
        self, attempts: Sequence[Attempt], peeks: Sequence[bool], deadline: Deadline, verb: Verb
    ) -> list[Decided] | Obstacle:
        for position, attempt in enumerate(attempts):
            if attempt.obstacle is not None:
                return Obstacle(position, attempt.obstacle)
        requests = [_store_request(attempt, peek) for attempt, peek in zip(attempts, peeks, strict=True)]
        return self._services.decider.decide_together(requests, deadline, verb)

    def _decisions(
        self,
        attempts: Sequence[Attempt],
        peeks: Sequence[bool],
        answers: Sequence[Decided],
        deadline: Deadline,
        *,
        consume: bool,
    ) -> list[Decision]:
        consumes = consume and answers[0].consumed is not None
        decisions = []
        for attempt, answer, peek in zip(attempts, answers, peeks, strict=True):
            cache_unregistered(attempt, answer)
            decision = decision_of(attempt, answer, consume=consumes)
            decisions.append(decision._replace(cost=0) if peek else decision)
        if consume and not all(answer.counted and answer.uncommitted is None for answer in answers):
            self._count(decisions, attempts, answers, deadline)
        return decisions

    def _count(
        self,
        decisions: Sequence[Decision],
        attempts: Sequence[Attempt],
        answers: Sequence[Decided],
        deadline: Deadline,
    ) -> None:
        """Commits a group that consumed in parts, and counts what the store has not counted. Raises
        :class:`StoreUnavailable` if it could not be committed."""
        consuming = [_consuming(*each) for each in zip(decisions, attempts, answers, strict=True)]
        for decision, answer, counts in zip(decisions, answers, counts_of_group(decisions, consuming), strict=True):
            if answer.uncommitted is not None:
                if not answer.uncommitted.conclude(
                    admitted=True, endpoint=decision.endpoint, counts=counts, deadline=deadline
                ):
                    self._services.usage_buffer.add(decision, self._services.clock.now(), counts)
            elif not answer.counted and counts:
                self._count_now_or_later(decision, counts, deadline)

    def _count_now_or_later(self, decision: Decision, counts: Sequence[Count], deadline: Deadline) -> None:
        try:
            self._services.usage.add(decision.client, decision.endpoint, counts, deadline)
        except AnswerLost:
            return
        except StoreError:
            self._services.usage_buffer.add(decision, self._services.clock.now(), counts)

    def _without_store(self, attempts: Sequence[Attempt], peeks: Sequence[bool], *, consume: bool) -> list[Decision]:
        costs = [0 if peek else attempt.cost for attempt, peek in zip(attempts, peeks, strict=True)]
        now = self._services.clock.now()
        decisions = self._services.fallback.decide_together(attempts, costs, now, consume=consume)
        return [decision._replace(cost=cost) for decision, cost in zip(decisions, costs, strict=True)]

    def _count_later(self, decisions: Sequence[Decision], in_doubt: int) -> None:
        """``in_doubt``: the first requests, which the store may have counted."""
        nothing: list[Sequence[LimitState]] = [()] * len(decisions)
        counted = list(zip(decisions, counts_of_group(decisions, nothing), strict=True))
        for decision, counts in counted[in_doubt:]:
            if counts:
                self._services.usage_buffer.add(decision, self._services.clock.now(), counts)


def _store_request(attempt: Attempt, peek: bool) -> StoreRequest:
    request = attempt.store_request()
    return request._replace(cost=0) if peek else request


def _consuming(decision: Decision, attempt: Attempt, answer: Decided) -> list[LimitState]:
    """The limits that consumed the cost of this request, and not that of another one."""
    if answer.consumed is None:
        return []
    by_policy = zip(answer.consumed, attempt.layout.policies, strict=True)
    owns = [each.is_own for each, policy in by_policy for _ in policy.limits]
    return [state for state, is_own in zip(decision.limits, owns, strict=True) if is_own]
