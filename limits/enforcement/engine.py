"""The engine: one check, one decision, never by rules older than those in force.

A check is decided in one round trip. The script compares the ruleset and the client's record that
the process decided by with those in force; where they differ it changes nothing and says so, and
the check begins again with what is in force.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from limits.conf import setting
from limits.domain.client import ClientRecord
from limits.domain.decision import Decision
from limits.domain.ruleset import Endpoint, Ruleset
from limits.domain.words import ClientStatus
from limits.enforcement.answers import decision_of, unavailable
from limits.enforcement.held import NO_LIMITS, ClientCache, Held, Layout
from limits.enforcement.requests import CheckRequest
from limits.store.connection import hot_connections
from limits.store.deadline import Deadline
from limits.store.decider import (
    ClientChanged,
    Decided,
    Decider,
    NotLoaded,
    OutsideValidity,
    Question,
    RulesChanged,
)
from limits.store.errors import StoreUnavailable
from limits.store.keys import Keys
from limits.store.rules import RulesetReader

Guard = Callable[[Ruleset], None]
"""Called with the ruleset before each attempt; raises where the caller may not ask."""


class RulesetMissing(Exception):
    """No ruleset has ever been published here, or none could be read yet."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this process can decide, and what it lacks."""

    ready: bool
    missing: tuple[str, ...] = ()


@dataclass(slots=True)
class _Attempt:
    """One try at a check, with everything that it is decided by."""

    held: Held
    clients: ClientCache
    record: ClientRecord
    known: bool
    endpoint: Endpoint | None
    layout: Layout
    cost: int

    def question(self, *, consume: bool) -> Question:
        return Question(
            client=self.record.key,
            token=self.held.token,
            revision=self.record.revision if self.known else None,
            policies=self.layout.slugs,
            rules=self.layout.rules,
            cost=self.cost,
            consume=consume,
            valid_from=self.layout.valid_from,
            valid_until=self.layout.valid_until,
            endpoint=self.endpoint.slug if self.endpoint else None,
            status=self.record.status,
        )


class Engine:
    """Decides checks. One for each process; safe for threads."""

    def __init__(self, decider: Decider, reader: RulesetReader, *, deadline: float, cache_size: int) -> None:
        """``deadline`` is in seconds and covers one whole check."""
        self._decider = decider
        self._reader = reader
        self._deadline = deadline
        self._cache_size = cache_size
        self._lock = threading.Lock()
        self._state: tuple[Held, ClientCache] | None = None

    @property
    def held(self) -> Held | None:
        """What this process decides by; None before the first ruleset was read."""
        return self._state[0] if self._state else None

    def check(self, request: CheckRequest, *, consume: bool = True, guard: Guard | None = None) -> Decision:
        """Decides one request; with ``consume=False`` it only looks.

        Raises :class:`RulesetMissing` where no ruleset has ever been seen, and what ``guard``
        raises. An unavailable store is an answer, not an exception.
        """
        deadline = Deadline(self._deadline)
        attempt = self._first_attempt(request, deadline, guard)
        try:
            return self._decide(request, attempt, deadline, guard, consume=consume)
        except StoreUnavailable:
            return unavailable(attempt.held, attempt.record, attempt.endpoint, attempt.cost)

    def refresh(self) -> None:
        """Loads what is published now, with one read where nothing changed.

        Raises :class:`StoreUnavailable`.
        """
        deadline = Deadline(self._deadline)
        token = self._reader.pointer(deadline)
        if token is not None:
            self._hold(token, deadline)

    def readiness(self) -> Readiness:
        """Whether a ruleset is held, and whether the store answers."""
        try:
            self.refresh()
        except StoreUnavailable:
            return Readiness(self._state is not None, ("store",))
        return Readiness(self._state is not None, () if self._state else ("ruleset",))

    def _first_attempt(self, request: CheckRequest, deadline: Deadline, guard: Guard | None) -> _Attempt:
        if self._state is None:
            self._hold_first(deadline)
        return self._attempt(request, guard)

    def _hold_first(self, deadline: Deadline) -> None:
        try:
            token = self._reader.pointer(deadline)
            if token is not None:
                self._hold(token, deadline)
        except StoreUnavailable as error:
            raise RulesetMissing("The store is away and no ruleset was read yet.") from error
        if self._state is None:
            raise RulesetMissing("No ruleset has been published yet.")

    def _decide(
        self, request: CheckRequest, attempt: _Attempt, deadline: Deadline, guard: Guard | None, *, consume: bool
    ) -> Decision:
        while True:
            answer = self._decider.decide(attempt.question(consume=consume), deadline)
            now: int | None = None
            match answer:
                case Decided():
                    self._remember_unregistered(attempt, answer)
                    return decision_of(
                        attempt.held, attempt.record, attempt.endpoint, attempt.layout, attempt.cost, answer
                    )
                case NotLoaded():
                    raise StoreUnavailable("The store does not hold this client yet.")
                case RulesChanged(token):
                    self._hold(token, deadline)
                case ClientChanged(record):
                    attempt.clients.put(_record(request.client, record))
                case OutsideValidity():
                    now = answer.now
            attempt = self._attempt(request, guard, now)

    def _attempt(self, request: CheckRequest, guard: Guard | None, now: int | None = None) -> _Attempt:
        """Prepares a try. ``now`` is the store's time where it said so (microseconds since 1970)."""
        if self._state is None:
            raise RulesetMissing("No ruleset has been published yet.")
        held, clients = self._state
        if guard is not None:
            guard(held.ruleset)
        met = clients.get(request.client)
        record = met or ClientRecord(request.client)
        endpoint = held.endpoint_of(request)
        slug = endpoint.slug if endpoint else None
        layout = NO_LIMITS
        if record.status is ClientStatus.ACTIVE:
            layout = held.layout(record, slug, now or time.time_ns() // 1000)
        cost = request.cost or (endpoint.cost if endpoint else 1)
        return _Attempt(held, clients, record, met is not None, endpoint, layout, cost)

    def _remember_unregistered(self, attempt: _Attempt, answer: Decided) -> None:
        """So that this client keeps being decided while an emptied store is being refilled."""
        if not attempt.known and answer.complete:
            attempt.clients.put(attempt.record)

    def _hold(self, token: str, deadline: Deadline) -> None:
        """Makes this process hold the ruleset of ``token``. One thread reads, the others wait."""
        if not self._lock.acquire(timeout=deadline.remaining()):
            raise StoreUnavailable("Another thread is still reading the rules.")
        try:
            if self._state is None or self._state[0].token != token:
                self._state = self._read(token, deadline)
        finally:
            self._lock.release()

    def _read(self, token: str, deadline: Deadline) -> tuple[Held, ClientCache]:
        """Client records outlive a change of the rules, but not one of the database."""
        version, ruleset = self._reader.read(token, deadline)
        clients = self._state[1] if self._state else None
        if clients is None or clients.epoch != version.epoch:
            clients = ClientCache(version.epoch, self._cache_size)
        return Held(version, ruleset), clients


def _record(key: str, text: str | None) -> ClientRecord:
    return ClientRecord(key) if text is None else ClientRecord.from_text(key, text)


def get_engine() -> Engine:
    """The engine of this process."""
    return _engine(
        setting("NAMESPACE"), setting("CHECK_DEADLINE"), setting("CLIENT_CACHE_SIZE"), setting("COUNTS_PER_BUCKET")
    )


@lru_cache(maxsize=8)
def _engine(namespace: str, deadline: float, cache_size: int, counts_per_bucket: int) -> Engine:
    keys = Keys(namespace)
    connections = hot_connections()
    decider = Decider(connections, keys, counts_per_bucket)
    return Engine(decider, RulesetReader(connections, keys), deadline=deadline, cache_size=cache_size)
