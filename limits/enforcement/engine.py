"""The engine: one check, one decision, never by rules older than those in force.

A check is decided in one round trip. The script compares the ruleset and the client's record that
the process decided by with those in force; where they differ it changes nothing and says so, and
the check begins again with what is in force.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from limits.conf import setting
from limits.domain.client import ClientRecord
from limits.domain.decision import Decision
from limits.enforcement.answers import decision_of
from limits.enforcement.attempts import Attempt, Guard, prepare, prepare_whole
from limits.enforcement.fallback import Fallback
from limits.enforcement.held import ClientCache, Held
from limits.enforcement.holder import Holder, StoreClock, record_of
from limits.enforcement.requests import CheckRequest
from limits.store import observers
from limits.store.connection import HotConnections, hot_connections
from limits.store.deadline import Deadline
from limits.store.decider import Answer, ClientChanged, Decided, Decider, NotLoaded, OutsideValidity, RulesChanged, Verb
from limits.store.errors import StoreUnavailable
from limits.store.heartbeats import Heartbeats
from limits.store.keys import Keys
from limits.store.rules import RulesetReader

TOGETHER = 100
"""Checks of a batch that one script call decides. Redis serves nobody else meanwhile: about 2 ms."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this process can decide, and what it lacks."""

    ready: bool
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """Where every limit that counts one client by itself stands. ``endpoints``: policy → the slug of
    its endpoint (None: all requests)."""

    record: ClientRecord
    decision: Decision
    endpoints: dict[str, str | None]


class Engine:
    """Decides checks. One for each process; safe for threads."""

    def __init__(self, decider: Decider, holder: Holder, fallback: Fallback, *, deadline: float) -> None:
        """``deadline`` is in seconds and covers one whole check."""
        self._decider = decider
        self._holder = holder
        self._fallback = fallback
        self._deadline = deadline
        self._clock = StoreClock()

    @property
    def held(self) -> Held | None:
        """What this process decides by; None before the first ruleset was read."""
        return self._holder.held

    def check(self, request: CheckRequest, *, consume: bool = True, guard: Guard | None = None) -> Decision:
        """Decides one request; with ``consume=False`` it only looks.

        Raises :class:`RulesetMissing` where no ruleset has ever been seen, and what ``guard``
        raises. An unavailable store is an answer, not an exception.
        """
        return self.check_in_order((request,), consume=consume, guard=guard)[0]

    def check_in_order(
        self, requests: Sequence[CheckRequest], *, consume: bool = True, guard: Guard | None = None
    ) -> list[Decision]:
        """Decides requests one after another, each by itself: a hundred in a round trip.

        The deadline is for a round trip. Where the store fails, the rest is decided without it.
        Raises as :meth:`check` does.
        """
        began = time.perf_counter()
        decisions: list[Decision] = []
        while len(decisions) < len(requests):
            first = len(decisions)
            deadline = Deadline(self._deadline)
            try:
                self._decide(requests[first : first + TOGETHER], decisions, deadline, guard, consume=consume)
            except StoreUnavailable:
                rest = self._attempts(requests[len(decisions) :], deadline, guard)
                decisions += [self._without_store(attempt, consume=consume) for attempt in rest]
        if consume:
            observers.observer.decided(decisions, time.perf_counter() - began)
            self._fallback.beat(self._deadline)
        return decisions

    def look_at_client(self, client: str, *, guard: Guard | None = None) -> Standing:
        """Where every limit that counts this client by itself stands.

        Raises :class:`StoreUnavailable`, and as :meth:`check` does.
        """
        deadline = Deadline(self._deadline)
        while True:
            held, clients = self._state(deadline, guard)
            attempt = prepare_whole(held, clients, client, self._clock.now())
            answer = self._decider.decide(attempt.question(), deadline, Verb.LOOK)
            if isinstance(answer, Decided):
                endpoints = {each.policy.slug: each.policy.endpoint for each in attempt.layout.policies}
                return Standing(attempt.record, decision_of(attempt, answer, consume=False), endpoints)
            self._adapt(attempt, answer, deadline)

    def refresh(self) -> None:
        """Loads what is published now. Raises :class:`StoreUnavailable`."""
        self._holder.refresh(Deadline(self._deadline))

    def readiness(self) -> Readiness:
        """Whether a ruleset is held, and whether the store answers."""
        try:
            self.refresh()
        except StoreUnavailable:
            return Readiness(self.held is not None, ("store",))
        return Readiness(self.held is not None, () if self.held else ("ruleset",))

    def _decide(
        self,
        requests: Sequence[CheckRequest],
        decisions: list[Decision],
        deadline: Deadline,
        guard: Guard | None,
        *,
        consume: bool,
    ) -> None:
        """Appends a decision for each request. Raises :class:`StoreUnavailable` where there are fewer."""
        decided, verb = 0, Verb.COUNT if consume else Verb.LOOK
        while decided < len(requests):
            attempts = self._attempts(requests[decided:], deadline, guard)
            questions = [attempt.question() for attempt in attempts]
            answers = self._decider.decide_in_order(questions, deadline, verb)
            for attempt, answer in zip(attempts, answers, strict=False):
                if isinstance(answer, Decided):
                    self._remember_unregistered(attempt, answer)
                    decisions.append(decision_of(attempt, answer, consume=consume))
                elif isinstance(answer, NotLoaded):
                    decisions.append(self._without_store(attempt, consume=consume))
                else:
                    self._adapt(attempt, answer, deadline)
                    break
                decided += 1

    def _attempts(self, requests: Sequence[CheckRequest], deadline: Deadline, guard: Guard | None) -> list[Attempt]:
        held, clients = self._state(deadline, guard)
        return [prepare(held, clients, request, self._clock.now()) for request in requests]

    def _state(self, deadline: Deadline, guard: Guard | None) -> tuple[Held, ClientCache]:
        held, clients = self._holder.state(deadline)
        if guard is not None:
            guard(held.ruleset)
        return held, clients

    def _adapt(self, attempt: Attempt, answer: Answer, deadline: Deadline) -> None:
        """Takes over what is in force, so that the next try goes by it."""
        match answer:
            case RulesChanged(token):
                self._holder.hold(token, deadline)
            case ClientChanged(record):
                attempt.clients.put(record_of(attempt.record.key, record))
            case OutsideValidity(now):
                self._clock.set(now)
            case NotLoaded():
                raise StoreUnavailable("The store does not hold this client yet.")

    def _without_store(self, attempt: Attempt, *, consume: bool) -> Decision:
        return self._fallback.decide(attempt, self._clock.now(), consume=consume)

    def _remember_unregistered(self, attempt: Attempt, answer: Decided) -> None:
        """So that this client keeps being decided while an emptied store is being refilled."""
        if not attempt.known and answer.complete:
            attempt.clients.put(attempt.record)


def get_engine() -> Engine:
    """The engine of this process."""
    return _engine(
        setting("NAMESPACE"), setting("CHECK_DEADLINE"), setting("CLIENT_CACHE_SIZE"), setting("COUNTS_PER_BUCKET")
    )


@lru_cache(maxsize=8)
def _engine(namespace: str, deadline: float, cache_size: int, counts_per_bucket: int) -> Engine:
    decider = Decider(hot_connections(), Keys(namespace), counts_per_bucket)
    return make_engine(hot_connections(), decider, Keys(namespace), deadline=deadline, cache_size=cache_size)


def make_engine(
    connections: HotConnections, decider: Decider, keys: Keys, *, deadline: float, cache_size: int
) -> Engine:
    """An engine over these connections. ``deadline`` is in seconds, for one whole check."""
    holder = Holder(RulesetReader(connections, keys), cache_size)
    fallback = Fallback(connections.outages, Heartbeats(connections, keys))
    return Engine(decider, holder, fallback, deadline=deadline)
