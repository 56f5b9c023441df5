"""The engine: one check, one decision, never by rules older than those in force.

A check is decided in one round trip. The script compares the ruleset and the client's record that
the process decided by with those in force; where they differ it changes nothing and says so, and
the check begins again with what is in force.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from limits.conf import kept, setting
from limits.domain.client import ClientRecord
from limits.domain.counting import counts_of
from limits.domain.decision import Decision
from limits.domain.ruleset import Ruleset
from limits.domain.unusual_costs import at_cost, usual
from limits.enforcement.answers import decision_of
from limits.enforcement.attempts import Attempt, Guard, prepare, prepare_whole
from limits.enforcement.fallback import Fallback
from limits.enforcement.held import ClientCache, Held
from limits.enforcement.holder import Holder, StoreClock, record_of
from limits.enforcement.requests import CheckRequest
from limits.enforcement.uncounted import Uncounted
from limits.once import once
from limits.store import observers
from limits.store.cluster import ClusterConnections
from limits.store.connection import HotConnections, hot_connections
from limits.store.counting import Counting
from limits.store.damage import CLIENT
from limits.store.deadline import Deadline
from limits.store.decider import (
    COUNTS_PER_BUCKET,
    Answer,
    ClientChanged,
    Decided,
    Decider,
    NotLoaded,
    OutsideValidity,
    RulesChanged,
    Undecidable,
    Unfinished,
    Verb,
)
from limits.store.errors import AnswerLost, StoreDataError, StoreError, StoreUnavailable
from limits.store.heartbeats import Heartbeats
from limits.store.keys import Keys
from limits.store.rules import RulesetReader
from limits.store.split_decider import SplitDecider


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this process can decide, and what it lacks."""

    ready: bool
    missing: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    """Sentences about what is published and cannot be used here."""
    store_ruleset: int | None = None
    """The version that the store names; None: it names none, or cannot be asked."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where every limit that counts one client by itself stands, by which ruleset. ``endpoints``:
    policy → the slug of its endpoint (None: all requests)."""

    ruleset: Ruleset
    record: ClientRecord
    decision: Decision
    endpoints: dict[str, str | None]


class Engine:
    """Decides checks. One for each process; safe for threads."""

    def __init__(
        self, decider: Decider, holder: Holder, fallback: Fallback, counting: Counting, *, deadline: float
    ) -> None:
        """``deadline`` is in seconds and covers one whole check."""
        self._decider = decider
        self._holder = holder
        self._fallback = fallback
        self._counting = counting
        self._uncounted = Uncounted(counting)
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
        began = time.perf_counter()
        deadline = Deadline(self._deadline)
        try:
            decision = self._decide(request, deadline, guard, consume=consume)
        except StoreError as error:
            decision = self._decide_without((request,), error, guard, consume=consume)[0]
        if consume:
            self._note((decision,), began)
        return decision

    def check_unusual_cost(self, request: CheckRequest, cost: int) -> Decision:
        """Decides one request that costs 0 or more than :data:`~limits.domain.limit.MAX_COST`, as
        :func:`~limits.domain.unusual_costs.at_cost` says. Nothing is consumed; it is counted, which is
        a second round trip. Raises :class:`RulesetMissing`."""
        began = time.perf_counter()
        deadline, asked = Deadline(self._deadline), request._replace(cost=usual(cost))
        try:
            looked = self._decide(asked, deadline, None, consume=False)
        except StoreError as error:
            looked = self._decide_without((asked,), error, None, consume=False)[0]
        decision = at_cost(looked, cost)
        self._count_later(decision, deadline)
        self._note((decision,), began)
        return decision

    def _count_later(self, decision: Decision, deadline: Deadline) -> None:
        """Counts now where that can be done, or else once the store is back."""
        try:
            self._counting.count(decision.client, decision.endpoint, counts_of(decision), deadline)
        except AnswerLost:
            return
        except StoreError:
            self._uncounted.add(decision, self._clock.now())

    def check_in_order(
        self, requests: Sequence[CheckRequest], *, consume: bool = True, guard: Guard | None = None
    ) -> list[Decision]:
        """Decides requests one after another, each by itself: a hundred in a round trip (on a Cluster
        those in a row whose clients share a bucket).

        The deadline is for a round trip. What the store did not decide is decided without it. Raises
        as :meth:`check` does.
        """
        began = time.perf_counter()
        clients = [request.client for request in requests]
        decisions: list[Decision] = []
        while len(decisions) < len(requests):
            first = len(decisions)
            count = self._decider.together(clients[first:])
            self._decide_together(requests[first : first + count], decisions, guard, consume=consume)
        if consume:
            self._note(decisions, began)
        return decisions

    def look_at_client(self, client: str, *, guard: Guard | None = None) -> Standing:
        """Where every limit that counts this client by itself stands.

        Raises :class:`StoreUnavailable`, and as :meth:`check` does.
        """
        deadline = Deadline(self._deadline)
        while True:
            held, clients = self._state(deadline, guard)
            attempts = prepare_whole(held, clients, client, self._clock.now())
            questions = [attempt.question() for attempt in attempts]
            answers = self._decider.decide_in_order(questions, deadline, Verb.LOOK)
            looks = [answer for answer in answers if isinstance(answer, Decided)]
            if len(looks) == len(attempts):
                return _standing(attempts, looks)
            self._adapt(attempts[len(answers) - 1], answers[-1], deadline)

    def refresh(self) -> None:
        """Loads what is published now. Raises :class:`StoreUnavailable`."""
        self._holder.refresh(Deadline(self._deadline))

    def readiness(self) -> Readiness:
        """Whether a ruleset is held, and whether the store answers and has the same."""
        try:
            named = self._holder.refresh(Deadline(self._deadline))
        except StoreUnavailable:
            return Readiness(self.held is not None, ("store",))
        except StoreError as error:
            return Readiness(self.held is not None, ("ruleset",), (str(error),))
        missing = () if self.held and named else ("ruleset",)
        return Readiness(self.held is not None, missing, store_ruleset=named.sequence if named else None)

    def _note(self, decisions: Sequence[Decision], began: float) -> None:
        observers.observer.decided(decisions, time.perf_counter() - began)
        self._fallback.beat()

    def _decide(self, request: CheckRequest, deadline: Deadline, guard: Guard | None, *, consume: bool) -> Decision:
        """Raises :class:`StoreUnavailable`."""
        changes, verb = 0, Verb.COUNT if consume else Verb.LOOK
        while True:
            held, clients = self._state(deadline, guard)
            attempt = prepare(held, clients, request, self._clock.now())
            if attempt.record.problem:
                return self._without_store(attempt, consume=consume, count=consume)
            answer = self._decider.decide(attempt.question(), deadline, verb)
            decision = self._decision(attempt, answer, deadline, consume=consume)
            if decision is not None:
                return decision
            changes += isinstance(answer, RulesChanged)
            self._adapt(attempt, answer, deadline, agreed=changes < 2)

    def _decide_together(
        self, requests: Sequence[CheckRequest], decisions: list[Decision], guard: Guard | None, *, consume: bool
    ) -> None:
        """Appends a decision for each request, from the store or without it."""
        deadline, end = Deadline(self._deadline), len(decisions) + len(requests)
        try:
            self._decide_in_order(requests, decisions, deadline, guard, consume=consume)
        except StoreError as error:
            decisions += self._decide_without(requests[len(decisions) - end :], error, guard, consume=consume)

    def _decide_in_order(
        self,
        requests: Sequence[CheckRequest],
        decisions: list[Decision],
        deadline: Deadline,
        guard: Guard | None,
        *,
        consume: bool,
    ) -> None:
        """Appends a decision for each request. Raises :class:`StoreUnavailable` where there are fewer."""
        decided, changes, verb = 0, 0, Verb.COUNT if consume else Verb.LOOK
        while decided < len(requests):
            attempts = self._attempts(requests[decided:], deadline, guard)
            answers = self._ask_in_order(attempts, verb)
            for attempt, answer in zip(attempts, answers, strict=False):
                decision = self._decision(attempt, answer, deadline, consume=consume)
                if decision is None:
                    changes += isinstance(answer, RulesChanged)
                    decision = self._adapt_or_decide(attempt, answer, deadline, agreed=changes < 2, consume=consume)
                if decision is None:
                    break
                decisions.append(decision)
                decided += 1

    def _ask_in_order(self, attempts: Sequence[Attempt], verb: Verb) -> Sequence[Answer]:
        """Answers from the first on, one at least; a record that cannot be followed here ends a call.

        The deadline begins here: preparing a hundred requests is no waiting for the store.
        """
        questions = [attempt.question() for attempt in takewhile(lambda attempt: not attempt.record.problem, attempts)]
        deadline = Deadline(self._deadline)
        return self._decider.decide_in_order(questions, deadline, verb) if questions else [Undecidable()]

    def _decide_without(
        self, requests: Sequence[CheckRequest], error: StoreError, guard: Guard | None, *, consume: bool
    ) -> list[Decision]:
        """By what this process holds. What the store may have counted is not counted here."""
        attempts = self._attempts(requests, Deadline(self._deadline), guard)
        return [
            self._without_store(attempt, consume=consume, count=consume and number >= error.in_doubt)
            for number, attempt in enumerate(attempts)
        ]

    def _attempts(self, requests: Sequence[CheckRequest], deadline: Deadline, guard: Guard | None) -> list[Attempt]:
        held, clients = self._state(deadline, guard)
        now = self._clock.now()
        return [prepare(held, clients, request, now) for request in requests]

    def _state(self, deadline: Deadline, guard: Guard | None) -> tuple[Held, ClientCache]:
        held, clients = self._holder.state(deadline)
        if guard is not None:
            guard(held.ruleset)
        return held, clients

    def _adapt(self, attempt: Attempt, answer: Answer, deadline: Deadline, *, agreed: bool = True) -> None:
        """Takes over what is in force, so that the next try goes by it. ``agreed``: no bucket has
        said otherwise in this check."""
        match answer:
            case RulesChanged(token) if agreed:
                self._holder.hold(token, deadline)
            case RulesChanged(token, bucket):
                self._holder.settle(token, bucket, deadline)
            case ClientChanged(record):
                attempt.clients.put(record_of(attempt.record.key, record))
            case OutsideValidity(now):
                self._clock.set(now)
            case NotLoaded():
                raise StoreUnavailable("The store does not hold this client yet.")
            case Undecidable(kind):
                raise StoreDataError(kind or CLIENT, "The data of this client in the store is damaged.")

    def _adapt_or_decide(
        self, attempt: Attempt, answer: Answer, deadline: Deadline, *, agreed: bool, consume: bool
    ) -> Decision | None:
        """What is damaged concerns this request, and not those that come after it."""
        try:
            self._adapt(attempt, answer, deadline, agreed=agreed)
        except StoreDataError:
            return self._without_store(attempt, consume=consume, count=consume)
        return None

    def _decision(self, attempt: Attempt, answer: Answer, deadline: Deadline, *, consume: bool) -> Decision | None:
        """None where this process has to adapt to what the store said, and to ask again."""
        if isinstance(answer, NotLoaded | Undecidable):
            return self._without_store(attempt, consume=consume, count=consume)
        if not isinstance(answer, Decided):
            return None
        self._remember_unregistered(attempt, answer)
        decision = decision_of(attempt, answer, consume=consume)
        if consume and answer.unfinished is not None:
            self._conclude(answer.unfinished, decision, deadline, admitted=answer.admitted)
        elif consume and not answer.counted:
            self._count_later(decision, deadline)
        return decision

    def _conclude(self, request: Unfinished, decision: Decision, deadline: Deadline, *, admitted: bool) -> None:
        """Raises :class:`StoreUnavailable` where an admitted one could not be committed."""
        counts = tuple(counts_of(decision))
        counted = request.conclude(admitted=admitted, endpoint=decision.endpoint, counts=counts, deadline=deadline)
        if not counted:
            self._uncounted.add(decision, self._clock.now())

    def _without_store(self, attempt: Attempt, *, consume: bool, count: bool) -> Decision:
        """``count``: the store has certainly not counted it."""
        now = self._clock.now()
        decision = self._fallback.decide(attempt, now, consume=consume)
        if count:
            self._uncounted.add(decision, now)
        return decision

    def _remember_unregistered(self, attempt: Attempt, answer: Decided) -> None:
        """So that this client keeps being decided while an emptied store is being refilled."""
        if not attempt.known and answer.complete:
            attempt.clients.put(attempt.record)


def _standing(attempts: Sequence[Attempt], answers: Sequence[Decided]) -> Standing:
    decisions = [decision_of(*pair, consume=False) for pair in zip(attempts, answers, strict=True)]
    limits = tuple(state for decision in decisions for state in decision.limits)
    policies = [each.policy for attempt in attempts for each in attempt.layout.policies]
    endpoints = {policy.slug: policy.endpoint for policy in policies}
    return Standing(
        attempts[0].held.ruleset, attempts[0].record, decisions[0]._replace(limits=limits, undisputed=False), endpoints
    )


@kept
def get_engine() -> Engine:
    """The engine of this process."""
    names = ("REDIS", "NAMESPACE", "CHECK_DEADLINE", "CLIENT_CACHE_SIZE", "COUNTS_PER_BUCKET")
    return _engine(*map(setting, names))


@once
def _engine(location: str, namespace: str, deadline: float, cache_size: int, counts_per_bucket: int) -> Engine:
    return make_engine(
        hot_connections(location),
        Keys(namespace),
        deadline=deadline,
        cache_size=cache_size,
        counts_per_bucket=counts_per_bucket,
    )


def make_engine(
    connections: HotConnections,
    keys: Keys,
    *,
    deadline: float,
    cache_size: int,
    counts_per_bucket: int = COUNTS_PER_BUCKET,
) -> Engine:
    """An engine over these connections. ``deadline`` is in seconds, for one whole check."""
    kind = SplitDecider if isinstance(connections, ClusterConnections) else Decider
    return Engine(
        kind(connections, keys, counts_per_bucket),
        Holder(RulesetReader(connections, keys), cache_size),
        Fallback(connections.outages, Heartbeats(connections, keys)),
        Counting(connections, keys, counts_per_bucket),
        deadline=deadline,
    )
