"""The engine: turns a check into a decision, never based on rules older than those in force.

A check is decided in one round trip. The script compares the process's ruleset version and client record
with those in force. If they differ, the script changes nothing and returns the token or record in force; the
process loads these and repeats the check.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import takewhile

from ratelimit_enforcer.domain.attributes import NO_ATTRIBUTES
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.decision import CheckRequest, Decision, at_cost, clamped_cost
from ratelimit_enforcer.domain.enums import Reason
from ratelimit_enforcer.domain.reservations import Charge, Refund, Settlement
from ratelimit_enforcer.domain.usage import Count, SettlementKind, counts_of
from ratelimit_enforcer.engine.attempts import (
    Attempt,
    Guard,
    decision_of,
    nothing_to_settle,
    prepare_all_limits,
    with_record,
)
from ratelimit_enforcer.engine.charging import Charges
from ratelimit_enforcer.engine.fallback import Fallback
from ratelimit_enforcer.engine.loading import Loader, cache_unregistered, counted_together
from ratelimit_enforcer.engine.prepared_ruleset import PreparedRuleset
from ratelimit_enforcer.engine.rounds import Rounds
from ratelimit_enforcer.engine.ruleset_cache import RulesetCache, StoreClock
from ratelimit_enforcer.engine.settling import Settler
from ratelimit_enforcer.engine.states import ClientState, Readiness, client_state_of
from ratelimit_enforcer.engine.together import Services, TogetherChecks, require_group
from ratelimit_enforcer.store import observers
from ratelimit_enforcer.store.ancestor_reader import AncestorReader
from ratelimit_enforcer.store.answers import (
    AncestorsUnknown,
    Decided,
    NotLoaded,
    ReservedBefore,
    RulesChanged,
    StoreAnswer,
    Undecidable,
    ValuesExhausted,
)
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.decider import Decider
from ratelimit_enforcer.store.errors import (
    AncestorsNotLoaded,
    AnswerLost,
    ReservedMeanwhile,
    StoreDataError,
    StoreError,
    StoreUnavailable,
    TooManyReservations,
)
from ratelimit_enforcer.store.heartbeats import Share
from ratelimit_enforcer.store.requests import Verb
from ratelimit_enforcer.store.reservations import Record, Reservations, read_record
from ratelimit_enforcer.store.usage import UsageBuffer, UsageWriter


class Engine:
    """Decides checks. One per process; thread-safe."""

    def __init__(
        self,
        decider: Decider,
        rulesets: RulesetCache,
        ancestors: AncestorReader,
        fallback: Fallback,
        usage: UsageWriter,
        reservations: Reservations,
        *,
        deadline: float,
    ) -> None:
        """``deadline`` is in seconds and covers one whole check, unless the caller sets a shorter one."""
        self._decider = decider
        self._rulesets = rulesets
        self._fallback = fallback
        self._usage = usage
        self._usage_buffer = UsageBuffer(usage)
        self._deadline = deadline
        self._clock = StoreClock()
        self._loader = Loader(rulesets, ancestors, self._clock)
        self._settler = Settler(reservations, fallback, self._clock)
        self._charges = Charges(self._look, self._settler)
        self._together = TogetherChecks(
            Services(decider, self._loader, fallback, usage, self._usage_buffer, self._clock)
        )

    @property
    def current(self) -> PreparedRuleset | None:
        """The ruleset that this process uses; None until the first one was read."""
        return self._rulesets.current

    @property
    def share(self) -> Share:
        """This process's rank among the processes that decided something lately, as last known."""
        return self._fallback.share

    @property
    def calls_at_once(self) -> int:
        """How many threads should call an engine that serves many callers: 1 if one call of the store can decide any
        checks (:meth:`check_in_order`), more on a Cluster, where each call reaches one master."""
        return self._decider.calls_at_once

    def now(self) -> int:
        """The store's time as this process estimates it, in microseconds since 1970."""
        return self._clock.now()

    def records_of(self, client: str) -> tuple[ClientRecord, ...]:
        """The records of a client and its ancestors that this process used last, from the client up: all of them after
        a check of the client."""
        return self._rulesets.records_of(client)

    def check(
        self,
        request: CheckRequest,
        *,
        consume: bool = True,
        guard: Guard | None = None,
        deadline: float | None = None,
    ) -> Decision:
        """Decides one request; with ``consume=False``, no cost is consumed and nothing is counted. ``deadline``: the
        seconds after which the caller needs the answer, if those are fewer than the engine's own.

        Raises :class:`RulesetMissing` if no ruleset was ever loaded, and any exception of ``guard``. If the
        store is unavailable, the result is a degraded decision and not an exception.
        """
        began = time.perf_counter()
        decisions = self._decide((request,), self._deadline_of(deadline), guard, consume=consume)
        if consume:
            self._observe(decisions, began)
        return decisions[0]

    def check_cost_out_of_range(self, request: CheckRequest, cost: int, *, deadline: float | None = None) -> Decision:
        """Decides one request of cost 0 or above :data:`~ratelimit_enforcer.domain.limit.MAX_COST`, as
        :func:`~ratelimit_enforcer.domain.decision.at_cost` defines. Nothing is consumed; counting the request
        takes a second round trip. ``deadline``: as for :meth:`check`. Raises :class:`RulesetMissing`."""
        began = time.perf_counter()
        until, clamped = self._deadline_of(deadline), request._replace(cost=clamped_cost(cost))
        (peeked,) = self._decide((clamped,), until, None, consume=False)
        decision = at_cost(peeked, cost)
        self._count(decision, until)
        self._observe((decision,), began)
        return decision

    def _count(self, decision: Decision, deadline: Deadline) -> None:
        """Counts now if the store is available, else once it is available again."""
        try:
            self._usage.add(decision.client, decision.endpoint, counts_of(decision), deadline)
        except AnswerLost:
            return
        except StoreError:
            self._usage_buffer.add(decision, self._clock.now())

    def check_in_order(
        self,
        requests: Sequence[CheckRequest],
        *,
        consume: bool = True,
        guard: Guard | None = None,
        deadline: float | None = None,
    ) -> list[Decision]:
        """Decides requests one after another, each separately: a hundred per round trip (on a Cluster,
        consecutive requests whose clients share a shard).

        The engine's deadline applies to each round trip, a shorter ``deadline`` to the whole call. Requests that the
        store did not decide are decided without it. Raises the same exceptions as :meth:`check`.
        """
        began = time.perf_counter()
        until = self._deadline_of(deadline)
        clients = [request.client for request in requests]
        decisions: list[Decision] = []
        while len(decisions) < len(requests):
            first = len(decisions)
            count = self._decider.batch_size(clients[first:], self._rulesets.root_of)
            batch = requests[first : first + count]
            decisions += self._decide(batch, until.renewed(), guard, consume=consume)
        if consume:
            self._observe(decisions, began)
        return decisions

    def check_together(
        self,
        requests: Sequence[CheckRequest],
        *,
        consume: bool = True,
        guard: Guard | None = None,
        deadline: float | None = None,
    ) -> list[Decision]:
        """Decides up to :data:`~ratelimit_enforcer.engine.together.MAX_TOGETHER` requests as one: all of them consume,
        or none does. Each decision is about its own request alone: the group is admitted if all are allowed.

        A counter that several requests reach is consumed once, by the largest of their costs, and each client is
        counted once. A request of cost 0 consumes nothing; it is denied if a cost of 1 would be. No request takes
        places. Other arguments and exceptions are those of :meth:`check`; ``ValueError`` for too many requests, none,
        or one that reserves.
        """
        began = time.perf_counter()
        require_group(requests)
        until = self._deadline_of(deadline)
        if len(requests) == 1 and requests[0].cost != 0:
            alone = requests[0]._replace(takes_places=False)
            decisions = self._decide((alone,), until, guard, consume=consume)
        else:
            decisions = self._together.decide(requests, until, guard, consume=consume)
        if consume:
            self._observe(decisions, began)
        return decisions

    def settle(self, reservation: str, cost: int | None = None, *, guard: Guard | None = None) -> Settlement:
        """Settles a reservation at its actual cost, 0 to
        :data:`~ratelimit_enforcer.domain.reservations.MAX_SETTLED_COST` (None: what was reserved), and frees the
        places. Less than what was reserved is refunded, as long as it is refundable; more is debited, even beyond the
        quota. The same call again returns the same answer. ``guard`` is called with the published ruleset, or, if it
        cannot be read, with that of this process.

        Raises any exception of ``guard``, :class:`~ratelimit_enforcer.domain.reservations.UnknownReservation`,
        :class:`~ratelimit_enforcer.domain.reservations.SettledAtAnotherCost`, and
        :class:`~ratelimit_enforcer.store.errors.StoreError`: then the call may be repeated.
        """
        deadline = Deadline(self._deadline)
        self.authorize(guard, deadline)
        return self._settler.settle(reservation, cost, deadline)

    def release(self, reservation: str, *, guard: Guard | None = None) -> None:
        """Settles a reservation at a cost of 0; of a check that took places, frees them and keeps the cost. ``guard``
        and exceptions are those of :meth:`settle`."""
        deadline = Deadline(self._deadline)
        self.authorize(guard, deadline)
        self._settler.release(reservation, deadline)

    def authorize(self, guard: Guard | None, deadline: Deadline | None = None) -> None:
        """Calls ``guard`` as :meth:`settle` does, which needs a ruleset for nothing else. Raises any exception of
        ``guard``, and :class:`RulesetMissing` if this process has none."""
        if guard is None:
            return
        deadline = deadline or Deadline(self._deadline)
        with suppress(StoreError):
            self._rulesets.refresh(deadline)
        guard(self._rulesets.state(deadline)[0].ruleset)

    def charge(
        self,
        request: CheckRequest,
        cost: int,
        *,
        name: bytes | None = None,
        guard: Guard | None = None,
        deadline: float | None = None,
    ) -> Charge:
        """Debits a cost without a check, 1 to :data:`~ratelimit_enforcer.domain.reservations.MAX_SETTLED_COST`, even
        beyond the quota; nothing if the client is blocked or exempt. The cost of ``request`` is not used. ``name``: 128
        bits, so that a repeated call debits once. ``deadline``: as for :meth:`check`.

        Raises :class:`~ratelimit_enforcer.domain.reservations.SettledAtAnotherCost` if this name was charged another
        cost, :class:`~ratelimit_enforcer.store.errors.StoreError`, :class:`RulesetMissing`, and any exception of
        ``guard``.
        """
        return self._charges.charge(request, cost, self._deadline_of(deadline), guard, name=name)

    def refund_newest(
        self,
        request: CheckRequest,
        amount: int,
        *,
        guard: Guard | None = None,
        deadline: float | None = None,
    ) -> Refund:
        """Refunds up to ``amount`` of the newest usage of every counter that the request reaches, whichever requests
        consumed it: 1 to :data:`~ratelimit_enforcer.domain.reservations.MAX_SETTLED_COST`, and never more than is used.
        Of sliding windows from the newest request backwards, of fixed windows and calendar periods in the present one
        only. Nothing if the client is blocked or exempt. The cost of ``request`` is not used. A call that failed may
        have refunded, so it is not to be repeated. Exceptions as for :meth:`charge`.
        """
        return self._charges.refund_newest(request, amount, self._deadline_of(deadline), guard)

    def peek_client(
        self, client: str, *, attributes: Mapping[str, str] = NO_ATTRIBUTES, guard: Guard | None = None
    ) -> ClientState:
        """The state of every limit that counts this client separately, of policies with attributes for these values.
        Nothing is consumed.

        Raises :class:`StoreUnavailable`, and the same exceptions as :meth:`check`.
        """
        deadline = Deadline(self._deadline)
        request = CheckRequest(client, attributes=attributes)
        while True:
            current, clients = self._loader.state(deadline, guard)
            attempts = prepare_all_limits(current, clients, request, self._clock.now())
            if isinstance(attempts[0].obstacle, AncestorsUnknown):
                self._loader.load_ancestors(clients, client, deadline)
                continue
            store_requests = [attempt.store_request() for attempt in attempts]
            answers = self._decider.decide_in_order(store_requests, deadline, Verb.PEEK)
            peeks = [answer for answer in answers if isinstance(answer, Decided)]
            if len(peeks) == len(attempts):
                return client_state_of(attempts, peeks)
            if isinstance(answers[-1], ValuesExhausted):
                request = counted_together(attempts[len(answers) - 1], answers[-1])
                continue
            self._loader.load_difference(attempts[len(answers) - 1], answers[-1], deadline)

    def refresh(self) -> None:
        """Loads the published ruleset, if this process does not have it. Raises
        :class:`~ratelimit_enforcer.store.errors.StoreError`."""
        self._rulesets.refresh(Deadline(self._deadline))

    def readiness(self) -> Readiness:
        """Whether this process has a ruleset, and whether the store answers and has the same one."""
        try:
            named = self._rulesets.refresh(Deadline(self._deadline))
        except StoreUnavailable:
            return Readiness(self.current is not None, ("store",))
        except StoreError as error:
            return Readiness(self.current is not None, ("ruleset",), (str(error),))
        missing = () if self.current and named else ("ruleset",)
        return Readiness(self.current is not None, missing, store_ruleset=named.sequence if named else None)

    def _deadline_of(self, seconds: float | None) -> Deadline:
        """The engine's deadline, or that of a caller who waits ``seconds``, if it is shorter."""
        if seconds is None or seconds >= self._deadline:
            return Deadline(self._deadline)
        return Deadline(max(seconds, 0.0), self._deadline)

    def _observe(self, decisions: Sequence[Decision], began: float) -> None:
        observers.observer.decided(decisions, time.perf_counter() - began)
        self._fallback.beat()

    def _look(self, request: CheckRequest, deadline: Deadline, guard: Guard | None) -> Decision:
        (decision,) = self._decide((request,), deadline, guard, consume=False)
        return decision

    def _decide(
        self, requests: Sequence[CheckRequest], deadline: Deadline, guard: Guard | None, *, consume: bool
    ) -> list[Decision]:
        """A decision for each request, one after another. The loop of every check:

        1. Take the ruleset and the clients that this process has (``Loader.state``), and call ``guard``.
        2. Prepare an attempt for each request that has no decision yet (``attempts.prepare``).
        3. Send all of them to the store in one call (``_send``).
        4. Turn the answers into decisions (``_decision``), up to the first answer that says that the ruleset, the
           client or the time differs from the one that the attempt was prepared with.
        5. Load the difference (``_load_or_decide``), and repeat from step 1 with the remaining requests.

        If the store fails, the remaining requests are decided without it.
        """
        requests = list(requests)
        decisions: list[Decision] = []
        changes, verb = 0, Verb.COUNT if consume else Verb.PEEK
        rounds = Rounds(deadline) if len(requests) > 1 else None
        first, attempts = 0, list[Attempt]()
        try:
            while len(decisions) < len(requests):
                if rounds is not None:
                    deadline = rounds.next_deadline(len(decisions))
                first = len(decisions)
                attempts = self._loader.attempts(requests[first:], deadline, guard)
                for attempt, answer in self._send(attempts, deadline, verb):
                    if isinstance(answer, ValuesExhausted):
                        requests[len(decisions)] = counted_together(attempt, answer)
                        break
                    decision = self._decision(attempt, answer, deadline, consume=consume)
                    if decision is None:
                        changes += isinstance(answer, RulesChanged)
                        decision = self._load_or_decide(attempt, answer, deadline, agreed=changes < 2, consume=consume)
                    if decision is None:
                        break
                    decisions.append(decision)
        except StoreError as error:
            sent = attempts[len(decisions) - first :]
            left = requests[len(decisions) :]
            decisions += self._decide_without(left, sent, error, guard, deadline.renewed(), consume=consume)
        return decisions

    def _send(
        self, attempts: Sequence[Attempt], deadline: Deadline, verb: Verb
    ) -> Iterable[tuple[Attempt, StoreAnswer]]:
        """Attempts with their answers, from the first one on, at least one; an answer that is not a decision is
        the last. An attempt that this process cannot prepare completely is not sent. Raises
        :class:`StoreUnavailable`."""
        first = attempts[0]
        if first.obstacle is not None:
            return ((first, first.obstacle),)
        if len(attempts) == 1:
            return ((first, self._decider.decide(first.store_request(), deadline, verb)),)
        sent = list(takewhile(lambda attempt: attempt.obstacle is None, attempts))
        store_requests = [attempt.store_request() for attempt in sent]
        # The deadline is for waiting for the store, not for preparing a hundred attempts.
        answers = self._decider.decide_in_order(store_requests, deadline.renewed(), verb)
        return zip(sent[: len(answers)], answers, strict=True)

    def _decide_without(
        self,
        requests: Sequence[CheckRequest],
        sent: Sequence[Attempt],
        error: StoreError,
        guard: Guard | None,
        deadline: Deadline,
        *,
        consume: bool,
    ) -> list[Decision]:
        """Decides by this process's data. Requests that the store may have counted are not counted here; what it may
        have reserved in the attempts that were ``sent`` has the same names."""
        attempts = self._loader.attempts(requests, deadline, guard)
        for attempt, before in zip(attempts, sent, strict=False):
            attempt.settleable = before.settleable
        return [
            self._without_store(attempt, consume=consume, count=consume and number >= error.in_doubt)
            for number, attempt in enumerate(attempts)
        ]

    def _load_or_decide(
        self, attempt: Attempt, answer: StoreAnswer, deadline: Deadline, *, agreed: bool, consume: bool
    ) -> Decision | None:
        """Loads the difference and returns None. If the data in the store is damaged, decides this request without
        the store, so that later requests are not affected."""
        try:
            self._loader.load_difference(attempt, answer, deadline, agreed=agreed)
        except (StoreDataError, AncestorsNotLoaded):
            return self._without_store(attempt, consume=consume, count=consume)
        return None

    def _decision(self, attempt: Attempt, answer: StoreAnswer, deadline: Deadline, *, consume: bool) -> Decision | None:
        """The decision; None if this process has to load newer data (:class:`Loader`) and repeat the check."""
        if isinstance(answer, ReservedBefore):
            return self._reserved_before(attempt, answer, deadline)
        if isinstance(answer, NotLoaded | Undecidable):
            attempt.drop_records_with_problems()
            return self._without_store(attempt, consume=consume, count=consume)
        if not isinstance(answer, Decided):
            return None
        cache_unregistered(attempt, answer)
        decision = decision_of(attempt, answer, consume=consume)
        if attempt.request.reserve is not None:
            decision = nothing_to_settle(decision, attempt.request.reserve, answer.now)
        if consume and answer.uncommitted is not None:
            decision = self._concluded(attempt, answer, decision, deadline)
        elif consume and not answer.counted:
            self._count(decision, deadline)
        return decision

    def _reserved_before(self, attempt: Attempt, answer: ReservedBefore, deadline: Deadline) -> Decision:
        """The decision on a repeated request: what was reserved the first time, and the present state of the limits."""
        return self._with_record(attempt, read_record(answer.record), deadline)

    def _with_record(self, attempt: Attempt, record: Record, deadline: Deadline) -> Decision:
        asked = attempt.request._replace(reserve=None, cost=1)
        (peeked,) = self._decide((asked,), deadline, None, consume=False)
        return with_record(peeked, attempt, record, self._clock.now())

    def _concluded(self, attempt: Attempt, answer: Decided, decision: Decision, deadline: Deadline) -> Decision:
        """Commits or refunds. Raises :class:`StoreUnavailable` if an admitted request could not be committed."""
        try:
            self._conclude(attempt, answer, decision, deadline, admitted=answer.admitted)
        except ReservedMeanwhile:
            record = self._settler.record_of(decision.reservation or "", deadline)
            return self._with_record(attempt, record, deadline)
        except TooManyReservations:
            decision = decision._replace(
                allowed=False, reason=Reason.TOO_MANY_RESERVATIONS, reservation=None, expires_at=None
            )
            self._conclude(attempt, answer, decision, deadline, admitted=False)
        return decision

    def _conclude(
        self, attempt: Attempt, answer: Decided, decision: Decision, deadline: Deadline, *, admitted: bool
    ) -> None:
        if answer.uncommitted is None:
            return
        counts = list(counts_of(decision))
        if attempt.request.reserve is not None and decision.reservation is not None:
            counts.append(Count(SettlementKind.RESERVED, "", decision.cost))
        counted = answer.uncommitted.conclude(
            admitted=admitted, endpoint=decision.endpoint, counts=counts, deadline=deadline
        )
        if not counted:
            self._usage_buffer.add(decision, self._clock.now())

    def _without_store(self, attempt: Attempt, *, consume: bool, count: bool) -> Decision:
        """Decides without the store. ``count``: the store has certainly not counted the request."""
        now = self._clock.now()
        decision = self._fallback.decide(attempt, now, consume=consume)
        if count:
            self._usage_buffer.add(decision, now)
        return decision
