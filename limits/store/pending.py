"""What parts of a request consumed on a Cluster, until the request is committed or refunded.

Each part leaves an entry in the bucket that it lies in, with everything that a refund needs
(``lua/parts/pending.lua``). A request is admitted when the entry of its first part, in the client's
bucket, is committed; until then it may be refunded, and afterwards it never is.
"""

import secrets
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import Any, NamedTuple

from limits.domain.counting import Count
from limits.store import damage, scripts
from limits.store.buckets import BUCKETS, bucket_of
from limits.store.deadline import Deadline
from limits.store.hot import HotConnections
from limits.store.keys import Keys, client_field

CONFIRM_WITHIN = 2.0
"""Seconds after a check's deadline within which the process confirms the parts beside the client's.
Later, others ask what became of the request."""

REMEMBERED = 3_600
"""Seconds for which a committed request is remembered, unless all of its parts are confirmed before."""

OVERDUE_AT_A_TIME = 100

_ID_SIZE = 16
_PART = struct.Struct(">H")
_NEW = struct.Struct(">18sQH")
_RECORD = struct.Struct(">QIHH")
_LENGTH = struct.Struct(">H")


def new_request() -> bytes:
    """The id of a request: 128 random bits."""
    return secrets.token_bytes(_ID_SIZE)


def entry_of(request: bytes, part: int) -> bytes:
    """The entry of one part of a request. The first part, 0, lies in the client's bucket."""
    return request + _PART.pack(part)


def is_home(entry: bytes) -> bool:
    """Whether it is that of the client's part."""
    return entry == home_of(entry)


def home_of(entry: bytes) -> bytes:
    """The entry of the client's part of the same request."""
    return entry_of(entry[:_ID_SIZE], 0)


def pack_new(entry: bytes, patience: float, home: int) -> bytes:
    """What ``decide.lua`` is told about an entry: for how many seconds it may be pending, and the
    bucket where its request is committed."""
    return _NEW.pack(entry, int(patience * 1_000_000), home)


class Consumption(NamedTuple):
    """An entry, the bucket that it is in, and the keys of the counters that it may have consumed from."""

    bucket: int
    entry: bytes
    counters: tuple[str, ...]


class Overdue(NamedTuple):
    """An entry that is overdue. ``age``: microseconds since it consumed; ``home``: the bucket where
    its request is committed."""

    consumption: Consumption
    age: int
    home: int


class NotAnEntry(Exception):
    """What lies at the place of an entry is something else, or nothing. ``entry`` names it."""

    def __init__(self, entry: bytes) -> None:
        super().__init__(f"What belongs to pending entry {entry.hex()} cannot be read.")
        self.entry = entry


class Outcome(Enum):
    """What became of a request. ``OPEN``: it may still be committed."""

    COMMITTED = auto()
    OPEN = auto()
    REFUNDED = auto()


class Ended(IntEnum):
    """Whether an entry was ended by this call, and the request counted. ``NOT``: nothing was changed;
    ``UNCOUNTED``: it was ended, and the counts in the store are damaged."""

    NOT = 0
    COUNTED = 1
    UNCOUNTED = 2


@dataclass(frozen=True, slots=True)
class Usage:
    """How a request is counted. ``endpoint`` None: one that nobody registered."""

    client: str
    endpoint: str | None
    counts: Sequence[Count]

    def arguments(self, bound: int) -> tuple[str | int, ...]:
        """As ``commit.lua`` and ``refund.lua`` read it; ``bound``: new counts that a bucket takes."""
        flat = [field for count in self.counts for field in count]
        return bound, client_field(self.client), self.endpoint or "", self.client, *flat


class PendingEntries:
    """Script calls about pending entries. All methods may be called again, and raise
    :class:`~limits.store.errors.StoreUnavailable`."""

    def __init__(self, connections: HotConnections, keys: Keys, counts_per_bucket: int) -> None:
        self._connections = connections
        self._keys = keys
        self._bound = counts_per_bucket
        self._scripts = {name: scripts.load(name) for name in ("commit", "refund", "confirm", "overdue", "outcome")}

    def commit(self, home: Consumption, usage: Usage, deadline: Deadline) -> Ended:
        """Commits and counts a request; ``NOT``: it is too late for that."""
        keys = (
            *self._keys.of_request[home.bucket],
            *self._keys.pending[home.bucket],
            self._keys.committed[home.bucket],
        )
        arguments = home.entry, REMEMBERED, *usage.arguments(self._bound)
        return _ended(self._run("commit", keys, arguments, deadline))

    def refund(self, consumption: Consumption, deadline: Deadline, usage: Usage | None = None) -> Ended:
        """Refunds one part, and counts the request as ``usage`` says; ``NOT``: there was nothing to refund."""
        keys = (*self._keys.pending[consumption.bucket], *consumption.counters)
        if usage is None:
            return _ended(self._run("refund", keys, (consumption.entry,), deadline))
        keys = (*keys, *self._keys.of_request[bucket_of(usage.client)])
        return _ended(self._run("refund", keys, (consumption.entry, *usage.arguments(self._bound)), deadline))

    def confirm(self, bucket: int, entries: Sequence[bytes], deadline: Deadline) -> None:
        """Ends entries of a bucket; what they consumed stays consumed."""
        self._run("confirm", self._keys.pending[bucket], entries, deadline)

    def forget_committed(self, bucket: int, entries: Sequence[bytes], deadline: Deadline) -> None:
        """Forgets committed requests of which nothing is pending any more."""
        key = self._keys.committed[bucket]
        self._connections.execute("ZREM", key, *entries, key=key, deadline=deadline)

    def overdue(self, bucket: int, deadline: Deadline) -> Iterator[Overdue | NotAnEntry]:
        """The oldest entries of a bucket that are overdue; the exception where one cannot be read."""
        now, *found = self._run("overdue", self._keys.pending[bucket], (OVERDUE_AT_A_TIME,), deadline)
        for entry, record in zip(found[::2], found[1::2], strict=True):
            try:
                yield _overdue(bucket, entry, record, now)
            except NotAnEntry as error:
                yield error

    def outcome(self, home: int, entry: bytes, deadline: Deadline) -> Outcome:
        """What became of the request whose client's part has this entry, in this bucket. Where that is
        overdue, it is refunded first. Raises :class:`NotAnEntry` as well."""
        keys = (*self._keys.pending[home], self._keys.committed[home])
        found = self._run("outcome", keys, (entry,), deadline)
        if found in (b"committed", b"open"):
            return Outcome.COMMITTED if found == b"committed" else Outcome.OPEN
        if found is not None:
            self.refund(_overdue(home, entry, found, 0).consumption, deadline)
        return Outcome.REFUNDED

    def _run(self, script: str, keys: Sequence[str], arguments: Sequence[str | int | bytes], deadline: Deadline) -> Any:
        return self._scripts[script].run(self._connections, keys, arguments, deadline)


def _ended(reply: int) -> Ended:
    ended = Ended(reply)
    if ended is Ended.UNCOUNTED:
        damage.note(damage.COUNTS)
    return ended


def _overdue(bucket: int, entry: bytes, record: bytes | None, now: int) -> Overdue:
    try:
        consumed_at, _, home, policies = _RECORD.unpack_from(record or b"")
        counters = tuple(_counters(record or b"", policies))
    except (struct.error, UnicodeDecodeError) as error:
        raise NotAnEntry(entry) from error
    if home >= BUCKETS:
        raise NotAnEntry(entry)
    return Overdue(Consumption(bucket, entry, counters), now - consumed_at, home)


def _counters(record: bytes, policies: int) -> Iterator[str]:
    """The keys of the counters: each after its length."""
    at = _RECORD.size + policies
    for _ in range(policies):
        (length,) = _LENGTH.unpack_from(record, at)
        at += _LENGTH.size + length
        yield record[at - length : at].decode()
