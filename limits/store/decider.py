"""Checks as one script call: what goes in, and what can come out."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from limits.domain.counters import Reading
from limits.domain.counting import Count
from limits.store import damage, scripts
from limits.store.buckets import bucket_of
from limits.store.connection import HotConnections
from limits.store.deadline import Deadline
from limits.store.errors import AnswerLost, CountInDoubt
from limits.store.keys import Keys, client_field

RULES_CHANGED, CLIENT_CHANGED, OUTSIDE_VALIDITY, NOT_LOADED, DAMAGED = range(1, 6)

COUNTS_PER_BUCKET = 128
"""New usage counts that a bucket takes in a minute before unregistered clients go without their name."""

TOGETHER = 100
"""Requests that one script call decides. Redis serves nobody else meanwhile: about 2 ms."""

Argument = str | int | bytes

_GUESS = ""
"""In place of a revision: this process does not know whether the client is registered."""

_AS_BEFORE = ""
"""In place of the rules of a request: those of the one before it."""

_HEAD = struct.Struct(">B?q")
_COMPLETE, _UNCOUNTED = 1, 2
_READING = struct.Struct(">?qqqq")


class Verb(StrEnum):
    """What becomes of an admitted request: it is consumed and counted; one part of it is consumed until
    it is committed; or neither."""

    COUNT = "count"
    CONSUME = "consume"
    LOOK = "look"


class CounterOf(NamedTuple):
    """The counter of a policy: the client's own, or the one that all clients share."""

    policy: str
    shared: bool = False


class Part(NamedTuple):
    """The policies of a request that lie in one slot: their counters, and their rules, packed; of
    each its place among all policies of the request, and how many limits it has."""

    counters: tuple[CounterOf, ...]
    rules: bytes
    places: tuple[int, ...]
    sizes: tuple[int, ...]


class Question(NamedTuple):
    """One check with all that it was prepared from.

    ``token`` and ``revision`` name the rules and the client's record that the caller decides by
    (None: a guess, for a client that it has not met). ``rules`` are packed; ``policies`` name
    their counters, in the same order. ``parts``: the same by slot, where policies do not all lie in
    the client's. ``bucket_of``: whose bucket is asked, where it is not the client's.
    """

    client: str
    token: str
    revision: int | None
    policies: tuple[CounterOf, ...]
    rules: bytes
    cost: int
    parts: tuple[Part, ...] = ()
    bucket_of: str = ""


class Unfinished(Protocol):
    """A request whose parts were decided by several masters."""

    def conclude(self, *, admitted: bool, endpoint: str | None, counts: Sequence[Count], deadline: Deadline) -> bool:
        """Commits an admitted request, refunds a denied one, and counts it. Returns False where it has
        certainly not been counted.

        Raises :class:`~limits.store.errors.StoreUnavailable` where an admitted one could not be
        committed: then it is not admitted, and what it consumed will be refunded; and
        :class:`~limits.store.errors.CountInDoubt` where it may have been.
        """


class Decided(NamedTuple):
    """The store decided at ``now`` (microseconds since 1970, by its clock). ``readings`` holds the
    state of each limit before the request; ``complete`` is False where the store has lost rules or
    clients and is being refilled; ``unfinished`` is to be concluded, where it is not None."""

    admitted: bool
    complete: bool
    now: int
    readings: Sequence[Reading]
    unfinished: Unfinished | None = None
    counted: bool = True
    """False where the counts in the store are damaged, so that it is still to be counted."""


@dataclass(frozen=True, slots=True)
class RulesChanged:
    """Other rules are in force in this bucket: those of this token."""

    token: str
    bucket: int


@dataclass(frozen=True, slots=True)
class ClientChanged:
    """Another record of the client is in force; None: it is not registered."""

    record: str | None


@dataclass(frozen=True, slots=True)
class OutsideValidity:
    """The rules were prepared for another time than the store's (microseconds since 1970)."""

    now: int


@dataclass(frozen=True, slots=True)
class NotLoaded:
    """The store does not hold all clients yet, and this process has never met this one."""


@dataclass(frozen=True, slots=True)
class Undecidable:
    """What this one request is decided by cannot be used here; nothing was consumed or counted.
    ``kind``: which data in the store is damaged, as in :mod:`limits.store.damage`; None: the client's
    record is whole, and this process cannot follow it."""

    kind: str | None = None


Answer = Decided | RulesChanged | ClientChanged | OutsideValidity | NotLoaded | Undecidable


class Decider:
    """Asks the store for decisions."""

    def __init__(self, connections: HotConnections, keys: Keys, counts_per_bucket: int = COUNTS_PER_BUCKET) -> None:
        self._connections = connections
        self._keys = keys
        self._counts_per_bucket = counts_per_bucket
        self._script = scripts.load("decide")

    def together(self, clients: Sequence[str]) -> int:
        """How many requests of these clients, from the first on, one call can decide."""
        return min(len(clients), TOGETHER)

    def decide(self, question: Question, deadline: Deadline, verb: Verb = Verb.COUNT) -> Answer:
        """One round trip. Raises :class:`~limits.store.errors.StoreUnavailable`, and
        :class:`~limits.store.errors.CountInDoubt` where it may have been counted."""
        bucket = bucket_of(home_of_question(question))
        keys, who = self._request(question, bucket)
        (reply,) = self._run(question.token, verb, 1, keys, (*who, question.rules), deadline)
        return read_answer(reply, bucket)

    def decide_in_order(
        self, questions: Sequence[Question], deadline: Deadline, verb: Verb = Verb.COUNT
    ) -> list[Answer]:
        """One round trip for several questions by the same rules, decided one after another.

        There are fewer answers than questions where one of them is not :class:`Decided`: it is the
        last one, and nothing that comes after it was asked. Raises as :meth:`decide` does.
        """
        buckets = [bucket_of(home_of_question(question)) for question in questions]
        keys: list[str] = []
        arguments: list[Argument] = []
        before = None
        for question, bucket in zip(questions, buckets, strict=True):
            its_keys, who = self._request(question, bucket)
            keys += its_keys
            arguments += who
            arguments.append(_AS_BEFORE if question.rules is before else question.rules)
            before = question.rules
        replies = self._run(questions[0].token, verb, len(questions), keys, arguments, deadline)
        return list(map(read_answer, replies, buckets))

    def _request(self, question: Question, bucket: int) -> tuple[list[str], tuple[Argument, ...]]:
        """The keys and arguments of one request but for its rules (``lua/decide.lua``)."""
        client, counter_key = question.client, self._counter_key
        keys = [*self._keys.of_request[bucket]]
        keys += [counter_key(bucket, client, counter) for counter in question.policies]
        revision = _GUESS if question.revision is None else f"{question.revision} "
        return keys, (client_field(client), revision, question.cost)

    def _run(
        self,
        token: str,
        verb: Verb,
        requests: int,
        keys: list[str],
        arguments: Sequence[Argument],
        deadline: Deadline,
    ) -> list[Any]:
        head = token, verb.value, self._counts_per_bucket
        try:
            replies: list[Any] = self._script.run(self._connections, keys, (*head, *arguments), deadline)
        except AnswerLost as error:
            if verb is Verb.COUNT:
                raise CountInDoubt(error, requests) from error
            raise
        return replies

    def _counter_key(self, bucket: int, client: str, counter: CounterOf) -> str:
        if counter.shared:
            return self._keys.shared_counter(counter.policy)
        return self._keys.counter(bucket, counter.policy, client)


def home_of_question(question: Question) -> str:
    """Whose bucket is asked."""
    return question.bucket_of or question.client


def read_answer(reply: Any, bucket: int) -> Answer:
    """What the script says of one request that it asked this bucket about."""
    if isinstance(reply, bytes):
        flags, admitted, now = _HEAD.unpack_from(reply)
        readings = tuple(_READING.iter_unpack(reply[_HEAD.size :]))
        if flags <= _COMPLETE:
            return Decided(admitted, flags == _COMPLETE, now, readings)
        damage.note(damage.COUNTS)
        return Decided(admitted, bool(flags & _COMPLETE), now, readings, counted=not flags & _UNCOUNTED)
    kind = reply[0]
    if kind == RULES_CHANGED:
        return RulesChanged(reply[1].decode(errors="replace"), bucket)
    if kind == CLIENT_CHANGED:
        return ClientChanged(reply[1].decode(errors="replace") if reply[1] is not None else None)
    if kind == OUTSIDE_VALIDITY:
        return OutsideValidity(reply[1])
    if kind == DAMAGED:
        damaged = reply[1].decode()
        damage.note(damaged)
        return Undecidable(damaged)
    return NotLoaded()
