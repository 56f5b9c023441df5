"""Checks as one script call: what goes in, and what can come out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from limits.domain.words import ClientStatus
from limits.store import scripts
from limits.store.buckets import bucket_of
from limits.store.connection import HotConnections
from limits.store.deadline import Deadline
from limits.store.keys import Keys, client_field

DECIDED, RULES_CHANGED, CLIENT_CHANGED, OUTSIDE_VALIDITY, NOT_LOADED = range(5)

COUNTS_PER_BUCKET = 128
"""New usage counts that a bucket takes in a minute before unregistered clients go without their name."""

GUESS = ""
"""In place of a revision: this process does not know whether the client is registered."""


_COUNTED_AS = {ClientStatus.ACTIVE: "", ClientStatus.BLOCKED: "b", ClientStatus.EXEMPT: "e"}


class CounterOf(NamedTuple):
    """The counter of a policy: the client's own, or the one that all clients share."""

    policy: str
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """One check with all that it was prepared from.

    ``token`` and ``revision`` name the rules and the client's record that the caller decides by
    (``GUESS``: none). ``rules`` are packed; ``policies`` name their counters, in the same order.
    ``valid_from`` and ``valid_until`` are microseconds since 1970, None: open. ``endpoint`` None:
    one that nobody registered. ``status`` decides how the request is counted.
    """

    client: str
    token: str
    revision: int | None
    policies: tuple[CounterOf, ...]
    rules: bytes
    cost: int
    consume: bool = True
    valid_from: int | None = None
    valid_until: int | None = None
    endpoint: str | None = None
    status: ClientStatus = ClientStatus.ACTIVE


@dataclass(frozen=True, slots=True)
class Decided:
    """The store decided. ``readings`` holds for each limit whether it admits, and four figures;
    ``complete`` is False where the store has lost rules or clients and is being refilled."""

    admitted: bool
    complete: bool
    readings: Sequence[int]


@dataclass(frozen=True, slots=True)
class RulesChanged:
    """Other rules are in force: those of this token."""

    token: str


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


Answer = Decided | RulesChanged | ClientChanged | OutsideValidity | NotLoaded


class Decider:
    """Asks the store for decisions."""

    def __init__(self, connections: HotConnections, keys: Keys, counts_per_bucket: int = COUNTS_PER_BUCKET) -> None:
        self._connections = connections
        self._keys = keys
        self._counts_per_bucket = counts_per_bucket
        self._script = scripts.load("decide")

    def decide(self, question: Question, deadline: Deadline) -> Answer:
        """One round trip. Raises :class:`~limits.store.errors.StoreUnavailable`."""
        return self.decide_in_order((question,), deadline)[0]

    def decide_in_order(self, questions: Sequence[Question], deadline: Deadline) -> list[Answer]:
        """One round trip for several questions, decided one after another.

        There are fewer answers than questions where one of them is not :class:`Decided`: it is the
        last one, and nothing that comes after it was asked. Raises
        :class:`~limits.store.errors.StoreUnavailable`.
        """
        keys = [key for question in questions for key in self._keys_of(question)]
        arguments = [argument for question in questions for argument in self._arguments(question)]
        return [_read(reply) for reply in self._script.run(self._connections, keys, arguments, deadline)]

    def _keys_of(self, question: Question) -> Iterable[str]:
        client, keys = question.client, self._keys
        bucket = bucket_of(client)
        yield keys.buckets[bucket]
        yield keys.usage[bucket]
        for policy, shared in question.policies:
            yield keys.shared_counter(policy) if shared else keys.counter(bucket, policy, client)

    def _arguments(self, question: Question) -> tuple[str | int | bytes, ...]:
        return (
            len(question.policies),
            question.token,
            client_field(question.client),
            GUESS if question.revision is None else f"{question.revision} ",
            question.cost,
            1 if question.consume else 0,
            "" if question.valid_from is None else question.valid_from,
            "" if question.valid_until is None else question.valid_until,
            question.rules,
            _COUNTED_AS[question.status],
            self._counts_per_bucket,
            question.endpoint or "",
            question.client,
            *(counter.policy for counter in question.policies),
        )


def _read(reply: list[Any]) -> Answer:
    kind = reply[0]
    if kind == DECIDED:
        return Decided(admitted=reply[2] == 1, complete=reply[1] == 1, readings=reply[3:])
    if kind == RULES_CHANGED:
        return RulesChanged(reply[1].decode())
    if kind == CLIENT_CHANGED:
        return ClientChanged(reply[1].decode() if reply[1] is not None else None)
    if kind == OUTSIDE_VALIDITY:
        return OutsideValidity(reply[1])
    return NotLoaded()
