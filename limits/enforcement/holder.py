"""The rules and client records that a process decides by, and how it gets newer ones."""

import logging
import threading
import time

from limits.domain.client import ClientRecord
from limits.domain.ruleset import Version
from limits.enforcement.held import ClientCache, Held
from limits.forking import renewed_when_forked
from limits.seldom import SeldomLog
from limits.store import damage, observers
from limits.store.damage import CLIENT
from limits.store.deadline import Deadline
from limits.store.errors import RulesetUnreadable, StoreDataError, StoreError, StoreUnavailable
from limits.store.rules import RulesetReader

log = logging.getLogger(__name__)


_unreadable_records = SeldomLog(log)


class RulesetMissing(Exception):
    """No ruleset has ever been published here, or none could be read yet."""


class StoreClock:
    """The store's clock, as far as this process knows: its own, corrected by what the store said.

    Only a guess that saves a round trip. What depends on time is decided by the store's clock.
    """

    def __init__(self) -> None:
        self._ahead = 0

    def now(self) -> int:
        """Microseconds since 1970."""
        return time.time_ns() // 1000 + self._ahead

    def set(self, now: int) -> None:
        """Takes over what the store said (microseconds since 1970)."""
        self._ahead = now - time.time_ns() // 1000


class Holder:
    """Decides by one ruleset at a time, and keeps the one before: while a publish goes from master to
    master, some clients are still decided by it. Safe for threads."""

    def __init__(self, reader: RulesetReader, cache_size: int) -> None:
        self._reader = reader
        self._cache_size = cache_size
        self._state: tuple[Held, ClientCache] | None = None
        self._before: Held | None = None
        self._unreadable: tuple[str, str] | None = None
        """The token of rules that this process cannot decide by, and why."""
        renewed_when_forked(self)

    def renew(self) -> None:
        self._lock = threading.Lock()

    @property
    def held(self) -> Held | None:
        """What this process decides by; None before the first ruleset was read."""
        return self._state[0] if self._state else None

    def state(self, deadline: Deadline) -> tuple[Held, ClientCache]:
        """The rules and clients, read first where there are none yet. Raises :class:`RulesetMissing`."""
        if self._state is None:
            self._hold_first(deadline)
        if self._state is None:
            raise RulesetMissing("No ruleset has been published yet.")
        return self._state

    def _hold_first(self, deadline: Deadline) -> None:
        try:
            self.refresh(deadline)
        except StoreUnavailable as error:
            raise RulesetMissing("The store is away and no ruleset was read yet.") from error
        except StoreError as error:
            raise RulesetMissing(f"No ruleset was read yet. {error}") from error

    def refresh(self, deadline: Deadline) -> Version | None:
        """Loads what is published now, with one read where nothing changed. Returns its version; None:
        the store names none.

        Raises :class:`~limits.store.errors.StoreError`.
        """
        token = self._reader.pointer(deadline)
        if token is None:
            return None
        self.hold(token, deadline)
        return Version.parse(token)

    def hold(self, token: str, deadline: Deadline) -> None:
        """Makes this process hold the ruleset of ``token``. One thread reads, the others wait."""
        if not self._lock.acquire(timeout=deadline.remaining()):
            raise StoreUnavailable("Another thread is still reading the rules.")
        try:
            if self._state is None or self._state[0].token != token:
                self._state = self._read(token, deadline)
        finally:
            self._lock.release()

    def settle(self, found: str, bucket: int, deadline: Deadline) -> None:
        """Where buckets do not agree, because a publish has not reached all of them: holds what the
        pointer names, and moves this bucket on to it. Raises :class:`StoreUnavailable`."""
        named = self._reader.pointer(deadline)
        if named is None or named == found:
            self.hold(found, deadline)
        else:
            self.hold(named, deadline)
            self._reader.move_token(bucket, found, named, deadline)

    def _read(self, token: str, deadline: Deadline) -> tuple[Held, ClientCache]:
        """Client records outlive a change of the rules, but not one of the database."""
        held, clients = self._state or (None, None)
        known = self._before is not None and self._before.token == token
        new = self._before if self._before and known else self._read_new(token, deadline)
        if clients is None or clients.epoch != new.version.epoch:
            clients = ClientCache(new.version.epoch, self._cache_size)
        self._before = held
        observers.observer.ruleset_held(new.version.sequence)
        return new, clients

    def _read_new(self, token: str, deadline: Deadline) -> Held:
        """What cannot be read is read once, and not with every check."""
        if self._unreadable is not None and self._unreadable[0] == token:
            raise RulesetUnreadable(self._unreadable[1])
        try:
            return Held(*self._reader.read(token, deadline))
        except RulesetUnreadable as error:
            self._unreadable = token, str(error)
            log.error("ruleset_unreadable: %s", error, extra={"event": "ruleset_unreadable", "error": str(error)})
            raise


def record_of(key: str, text: str | None) -> ClientRecord:
    """The record that the store answered with; None: the client is not registered. Raises
    :class:`~limits.store.errors.StoreDataError`."""
    if text is None:
        return ClientRecord(key)
    try:
        record = ClientRecord.from_text(key, text)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        damage.note(CLIENT)
        raise StoreDataError(CLIENT, "A client's record in the store is damaged.") from error
    if record.problem:
        _unreadable_records.warning("client_unreadable: %s", record.problem)
    return record
