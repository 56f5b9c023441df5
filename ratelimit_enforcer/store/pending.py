"""Pending entries: the cost that parts of a request consumed on a Cluster, until the request is committed or refunded.

Each part leaves an entry in its shard, with everything that a refund needs
(``scripts/parts/pending.lua``). A request is admitted when the entry of its first part, in the client's
shard, is committed. Until then it may be refunded; afterwards it never is.
"""

import secrets
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import Any, NamedTuple

from ratelimit_enforcer.domain.reservations import ID_SIZE, MAX_OPEN
from ratelimit_enforcer.domain.usage import Count
from ratelimit_enforcer.store import damage, scripts
from ratelimit_enforcer.store.connections.server import StoreConnections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.keys import SHARDS, Keys, client_field
from ratelimit_enforcer.store.requests import NO_NAME
from ratelimit_enforcer.store.reservations import read_entry

CONFIRM_WITHIN = 2.0
"""Seconds after a check's deadline within which the process confirms the parts other than the client's.
After that, resolvers look up the outcome of the request."""

COMMIT_RETENTION = 3_600
"""Seconds for which a committed request is remembered, unless all of its parts are confirmed earlier."""

MAX_OVERDUE = 100

_PART = struct.Struct(">H")
_NEW = struct.Struct(">18sQHI")


def new_request_id() -> bytes:
    """The id of a request: 128 random bits."""
    return secrets.token_bytes(ID_SIZE)


def entry_of(request_id: bytes, part: int) -> bytes:
    """The entry of one part of a request. The first part, 0, is in the client's shard."""
    return request_id + _PART.pack(part)


def part_of(entry: bytes) -> int:
    """The number of the part."""
    (part,) = _PART.unpack(entry[ID_SIZE:])
    return int(part)


def is_home(entry: bytes) -> bool:
    """Whether the entry is that of the client's part."""
    return entry == home_of(entry)


def home_of(entry: bytes) -> bytes:
    """The entry of the client's part of the same request."""
    return entry_of(entry[:ID_SIZE], 0)


def pack_new(entry: bytes, timeout: float, home: int, counts_per_shard: int) -> bytes:
    """The argument of ``decide.lua`` for a new entry: the seconds for which it may be pending, the shard where its
    request is committed, and how many new counts a shard accepts per minute."""
    return _NEW.pack(entry, int(timeout * 1_000_000), home, counts_per_shard)


class Consumption(NamedTuple):
    """An entry, its shard, the keys of the counters that it may have consumed from, and of their places, and the name
    of the reservation that the request makes."""

    shard: int
    entry: bytes
    counters: tuple[str, ...]
    name: bytes = NO_NAME


class Overdue(NamedTuple):
    """An overdue entry. ``age``: microseconds since its cost was consumed; ``home``: the shard where its
    request is committed."""

    consumption: Consumption
    age: int
    home: int


class UnreadableEntry(Exception):
    """The record of an entry is missing or damaged. ``entry`` identifies it."""

    def __init__(self, entry: bytes) -> None:
        super().__init__(f"What belongs to pending entry {entry.hex()} cannot be read.")
        self.entry = entry


class Outcome(Enum):
    """The outcome of a request. ``OPEN``: it may still be committed."""

    COMMITTED = auto()
    OPEN = auto()
    REFUNDED = auto()


class EndResult(IntEnum):
    """Whether this call ended an entry and counted the request. ``UNCHANGED``: nothing was changed;
    ``UNCOUNTED``: the entry was ended, but the counts in the store are damaged; ``TOO_MANY``: nothing was changed,
    because the client has too many unsettled reservations; ``RESERVED_MEANWHILE``: or because another request has made
    this reservation."""

    UNCHANGED = 0
    COUNTED = 1
    UNCOUNTED = 2
    TOO_MANY = 3
    RESERVED_MEANWHILE = 4


@dataclass(frozen=True, slots=True)
class Usage:
    """The usage counts of a request. ``endpoint`` None: an unregistered one."""

    client: str
    endpoint: str | None
    counts: Sequence[Count]

    def arguments(self, counts_per_shard: int) -> tuple[str | int, ...]:
        """The arguments of ``commit.lua`` and ``refund.lua``. ``counts_per_shard``: new counts that a shard accepts
        per minute."""
        flat = [field for count in self.counts for field in count]
        return counts_per_shard, client_field(self.client), self.endpoint or "", self.client, *flat


class PendingEntries:
    """Script calls about pending entries. All methods may safely be repeated, and raise
    :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`."""

    def __init__(self, connections: StoreConnections, keys: Keys, counts_per_shard: int) -> None:
        self._connections = connections
        self._keys = keys
        self._counts_per_shard = counts_per_shard
        self._scripts = {name: scripts.load(name) for name in ("commit", "refund", "confirm", "overdue", "outcome")}

    def commit(self, home: Consumption, usage: Usage, deadline: Deadline) -> EndResult:
        """Commits and counts a request, and records it if it is a reservation; ``UNCHANGED``: it is too late to commit
        it."""
        keys = (
            *self._keys.of_request[home.shard],
            *self._keys.pending[home.shard],
            self._keys.committed[home.shard],
            self._keys.reservation(home.shard, home.name),
            self._keys.open_reservations_of(home.shard, usage.client),
            self._keys.open_reservations[home.shard],
        )
        arguments = home.entry, COMMIT_RETENTION, MAX_OPEN, *usage.arguments(self._counts_per_shard)
        return _ended(self._run("commit", keys, arguments, deadline))

    def refund(self, consumption: Consumption, deadline: Deadline, usage: Usage | None = None) -> EndResult:
        """Refunds one part, and counts the request in the same shard if ``usage`` is set; ``UNCHANGED``: there was
        nothing to refund."""
        shard, counts = consumption.shard, self._counts_per_shard
        keys = (*self._keys.pending[shard], *consumption.counters, *self._keys.of_request[shard])
        counted = (counts,) if usage is None else usage.arguments(counts)
        return _ended(self._run("refund", keys, (consumption.entry, *counted), deadline))

    def confirm(self, shard: int, entries: Sequence[Consumption], deadline: Deadline) -> None:
        """Ends entries of a shard without a refund: their cost stays consumed. A reservation's become records."""
        records = (self._keys.reservation(shard, each.name, part_of(each.entry)) for each in entries)
        keys = *self._keys.pending[shard], *records
        self._run("confirm", keys, [each.entry for each in entries], deadline)

    def drop_committed(self, shard: int, entries: Sequence[Consumption], deadline: Deadline) -> None:
        """Drops the records of committed requests all of whose parts are confirmed."""
        key = self._keys.committed[shard]
        self._connections.execute("ZREM", key, *(each.entry for each in entries), key=key, deadline=deadline)

    def overdue(self, shard: int, deadline: Deadline) -> Iterator[Overdue | UnreadableEntry]:
        """Yields the oldest overdue entries of a shard; the exception in place of an unreadable one."""
        now, *found = self._run("overdue", self._keys.pending[shard], (MAX_OVERDUE,), deadline)
        for entry, record in zip(found[::2], found[1::2], strict=True):
            try:
                yield _overdue(shard, entry, record, now)
            except UnreadableEntry as error:
                yield error

    def outcome(self, home: int, entry: bytes, deadline: Deadline) -> Outcome:
        """The outcome of a request, given the entry of its client's part and that part's shard. If that part is
        overdue, it is refunded first. Raises :class:`UnreadableEntry` as well."""
        keys = (*self._keys.pending[home], self._keys.committed[home])
        found = self._run("outcome", keys, (entry,), deadline)
        if found in (b"committed", b"open"):
            return Outcome.COMMITTED if found == b"committed" else Outcome.OPEN
        if found is not None:
            self.refund(_overdue(home, entry, found, 0).consumption, deadline)
        return Outcome.REFUNDED

    def _run(self, script: str, keys: Sequence[str], arguments: Sequence[str | int | bytes], deadline: Deadline) -> Any:
        return self._scripts[script].run(self._connections, keys, arguments, deadline)


def _ended(reply: int) -> EndResult:
    ended = EndResult(reply)
    if ended is EndResult.UNCOUNTED:
        damage.record(damage.COUNTS)
    return ended


def _overdue(shard: int, entry: bytes, content: bytes | None, now: int) -> Overdue:
    try:
        record = read_entry(content or b"")
    except (IndexError, struct.error, ValueError) as error:
        raise UnreadableEntry(entry) from error
    if record.home >= SHARDS:
        raise UnreadableEntry(entry)
    return Overdue(Consumption(shard, entry, tuple(record.keys), record.name), now - record.made_at, record.home)
