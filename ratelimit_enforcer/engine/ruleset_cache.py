"""The ruleset and the client records that a process uses to decide, and how it loads newer ones.

A loaded ruleset never changes. A process that learns of a newer one makes a new :class:`PreparedRuleset`;
checks that are under way finish, or restart, with the one that they started with.
"""

import logging
import threading
import time

from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.ruleset import Version
from ratelimit_enforcer.engine.client_cache import ClientCache
from ratelimit_enforcer.engine.prepared_ruleset import PreparedRuleset
from ratelimit_enforcer.log_limiter import RateLimitedLog
from ratelimit_enforcer.per_process import renew_after_fork
from ratelimit_enforcer.store import damage, observers
from ratelimit_enforcer.store.damage import CLIENT
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import RulesetUnreadable, StoreDataError, StoreError, StoreUnavailable
from ratelimit_enforcer.store.ruleset_reader import RulesetReader
from ratelimit_enforcer.store.scripts.packing import MAX_VALUES

log = logging.getLogger(__name__)


_unreadable_records = RateLimitedLog(log)


class RulesetMissing(Exception):
    """No ruleset was published yet, or none could be read yet."""


class StoreClock:
    """The store's time, estimated from this process's clock and the last time value that the store returned.

    The estimate only saves round trips. Everything that depends on time is decided by the store's clock.
    """

    def __init__(self) -> None:
        self._ahead = 0

    def now(self) -> int:
        """The estimated time in microseconds since 1970."""
        return time.time_ns() // 1000 + self._ahead

    def set(self, now: int) -> None:
        """Adjusts to the store's time (microseconds since 1970)."""
        self._ahead = now - time.time_ns() // 1000


class RulesetCache:
    """Has one current ruleset, and keeps the previous one: while a publication goes from master to master, some
    clients are still decided by it. Thread-safe."""

    def __init__(self, reader: RulesetReader, cache_size: int, max_values: int = MAX_VALUES) -> None:
        self._reader = reader
        self._max_values = max_values
        self._cache_size = cache_size
        self._state: tuple[PreparedRuleset, ClientCache] | None = None
        self._previous: PreparedRuleset | None = None
        self._unreadable: tuple[str, str] | None = None
        """The token of a ruleset that this process cannot use, and why."""
        renew_after_fork(self)

    def renew(self) -> None:
        self._lock = threading.Lock()

    @property
    def current(self) -> PreparedRuleset | None:
        """The ruleset that this process uses; None until the first one was read."""
        return self._state[0] if self._state else None

    def root_of(self, client: str) -> str:
        """The key of the client's root, as far as this process knows it; else the client's key."""
        return self._state[1].root_of(client) if self._state else client

    def records_of(self, client: str) -> tuple[ClientRecord, ...]:
        """The records of a client and its ancestors, as far as this process has them, from the client up."""
        return self._state[1].records_of(client) if self._state else (ClientRecord(client),)

    def state(self, deadline: Deadline) -> tuple[PreparedRuleset, ClientCache]:
        """The ruleset and the clients, read now if there are none yet. Raises :class:`RulesetMissing`."""
        if self._state is None:
            self._load_first(deadline)
        if self._state is None:
            raise RulesetMissing("No ruleset has been published yet.")
        return self._state

    def _load_first(self, deadline: Deadline) -> None:
        try:
            self.refresh(deadline)
        except StoreUnavailable as error:
            raise RulesetMissing("The store is unavailable, and no ruleset has been loaded yet.") from error
        except StoreError as error:
            raise RulesetMissing(f"No ruleset has been loaded yet. {error}") from error

    def refresh(self, deadline: Deadline) -> Version | None:
        """Loads the published ruleset; costs one read if it is already loaded. Returns its version, or None
        if the store has no ruleset.

        Raises :class:`~ratelimit_enforcer.store.errors.StoreError`.
        """
        token = self._reader.pointer(deadline)
        if token is None:
            return None
        self.switch_to(token, deadline)
        return Version.parse(token)

    def switch_to(self, token: str, deadline: Deadline) -> None:
        """Makes the ruleset of ``token`` current. One thread reads while the others wait. Raises
        :class:`~ratelimit_enforcer.store.errors.StoreError`."""
        if not self._lock.acquire(timeout=deadline.remaining()):
            raise StoreUnavailable("Another thread is still loading the ruleset.")
        try:
            if self._state is None or self._state[0].token != token:
                self._state = self._read(token, deadline)
        finally:
            self._lock.release()

    def reconcile_shard(self, found: str, shard: int, deadline: Deadline) -> None:
        """Loads the ruleset that the pointer names, and updates this shard to it, if shards disagree because a
        publication has not reached all of them. Raises :class:`StoreUnavailable`."""
        named = self._reader.pointer(deadline)
        if named is None or named == found:
            self.switch_to(found, deadline)
        else:
            self.switch_to(named, deadline)
            self._reader.move_token(shard, found, named, deadline)

    def _read(self, token: str, deadline: Deadline) -> tuple[PreparedRuleset, ClientCache]:
        """Client records remain valid when the rules change, but not when the database does."""
        current, clients = self._state or (None, None)
        known = self._previous is not None and self._previous.token == token
        new = self._previous if self._previous and known else self._read_new(token, deadline)
        if clients is None or clients.epoch != new.version.epoch:
            clients = ClientCache(new.version.epoch, self._cache_size)
        self._previous = current
        observers.observer.ruleset_loaded(new.version.sequence)
        return new, clients

    def _read_new(self, token: str, deadline: Deadline) -> PreparedRuleset:
        """Reads an unreadable ruleset once only, and not with every check."""
        if self._unreadable is not None and self._unreadable[0] == token:
            raise RulesetUnreadable(self._unreadable[1])
        try:
            return PreparedRuleset(*self._reader.read(token, deadline), self._max_values)
        except RulesetUnreadable as error:
            self._unreadable = token, str(error)
            log.error("ruleset_unreadable: %s", error, extra={"event": "ruleset_unreadable", "error": str(error)})
            raise


def parse_record(key: str, text: str | None) -> ClientRecord:
    """The client record in the store's answer (None: the client is not registered). Raises
    :class:`~ratelimit_enforcer.store.errors.StoreDataError`."""
    if text is None:
        return ClientRecord(key)
    try:
        record = ClientRecord.from_text(key, text)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        damage.record(CLIENT)
        raise StoreDataError(CLIENT, "A client's record in the store is damaged.") from error
    if record.problem:
        _unreadable_records.warning("client_unreadable: %s", record.problem)
    return record
