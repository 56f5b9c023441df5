"""Usage counts of requests that were not counted in the call that decided them: written at once, or, for
decisions made without the store, buffered until the store is available again."""

import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterable

from ratelimit_enforcer.domain.decision import Decision
from ratelimit_enforcer.domain.usage import Count, counts_of
from ratelimit_enforcer.per_process import renew_after_fork
from ratelimit_enforcer.store import damage, scripts
from ratelimit_enforcer.store.connections.server import StoreConnections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import AnswerLost, StoreDataError, StoreUnavailable
from ratelimit_enforcer.store.keys import Keys, client_field, shard_of


class UsageWriter:
    """Adds to the usage counts, on the data plane's connections."""

    def __init__(self, connections: StoreConnections, keys: Keys, counts_per_shard: int) -> None:
        self._connections = connections
        self._keys = keys
        self._counts_per_shard = counts_per_shard
        self._script = scripts.load("count")

    def add(
        self, client: str, endpoint: str | None, counts: Iterable[Count], deadline: Deadline, minute: int | None = None
    ) -> None:
        """Adds counts for one client on one endpoint (None: an unregistered one). ``minute``: since 1970;
        None: the store's current one. Raises :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`, and
        :class:`~ratelimit_enforcer.store.errors.StoreDataError` if the shard's counts are damaged, until the
        drain has set them aside."""
        shard = shard_of(client)
        keys = self._keys.of_request[shard]
        head = ("" if minute is None else minute, client_field(client), self._counts_per_shard, endpoint or "", client)
        flat = [field for count in counts for field in count]
        if self._script.run(self._connections, keys, (*head, *flat), deadline) is not None:
            damage.record(damage.COUNTS)
            raise StoreDataError(damage.COUNTS, "The usage counts of a shard are damaged.")


MAX_BUFFERED = 10_000
"""Maximum number of combinations of client, endpoint and minute in one process's buffer; beyond that,
requests are counted without their client."""

FLUSH_INTERVAL = 1.0
"""Seconds between two attempts to write the counts to the store."""

TIMEOUT = 0.5
"""Timeout of one call to the store, in seconds; no check waits for it."""

_MINUTE_US = 60_000_000

BufferKey = tuple[int, str, str | None]
"""Minute since 1970, client, endpoint."""
CountKey = tuple[str, str, str]
"""Kind, policy, ancestor, as in :class:`~ratelimit_enforcer.domain.usage.Count`."""


class UsageBuffer:
    """The counts of one process that wait for the store; lost when the process ends. Thread-safe."""

    def __init__(self, usage: UsageWriter) -> None:
        self._usage = usage
        renew_after_fork(self)

    def renew(self) -> None:
        self._lock = threading.Lock()
        self._buffered: dict[BufferKey, Counter[CountKey]] = {}
        self._is_flushing = False

    def add(self, decision: Decision, now: int, counts: Iterable[Count] | None = None) -> None:
        """Counts a decision that was made at ``now`` (microseconds since 1970). ``counts``: None for those of a request
        that was decided alone."""
        key = now // _MINUTE_US, decision.client, decision.endpoint
        with self._lock:
            if key not in self._buffered and len(self._buffered) >= MAX_BUFFERED:
                key = key[0], "", decision.endpoint
            buffered = self._buffered.setdefault(key, Counter())
            for kind, policy, amount, ancestor in counts_of(decision) if counts is None else counts:
                buffered[kind, policy, ancestor] += amount
            if not self._is_flushing:
                self._is_flushing = True
                threading.Thread(
                    target=_flush_until_empty, args=(weakref.ref(self),), name="usage-flush", daemon=True
                ).start()

    def may_end(self) -> bool:
        """Whether all counts were written; the thread that writes them then ends."""
        with self._lock:
            self._is_flushing = bool(self._buffered)
            return not self._is_flushing

    def stop(self) -> None:
        """Records that the writing thread ends; the next :meth:`add` starts a new one."""
        with self._lock:
            self._is_flushing = False

    def flush(self) -> None:
        """Writes the counts to the store, and keeps those that the store did not accept."""
        with self._lock:
            buffered, self._buffered = self._buffered, {}
        damaged: dict[BufferKey, Counter[CountKey]] = {}
        try:
            while buffered:
                key, counts = buffered.popitem()
                try:
                    self._write(key, counts)
                except AnswerLost:
                    # The store may have added these counts, and nothing is counted twice.
                    continue
                except StoreDataError:
                    damaged[key] = counts
                except StoreUnavailable:
                    buffered[key] = counts
                    return
        finally:
            # Also after a programming error, which surfaces and loses only the counts that were being written.
            self._put_back(buffered)
            self._put_back(damaged)

    def _write(self, key: BufferKey, counts: Counter[CountKey]) -> None:
        minute, client, endpoint = key
        rows = [Count(kind, policy, amount, ancestor) for (kind, policy, ancestor), amount in counts.items()]
        self._usage.add(client, endpoint, rows, Deadline(TIMEOUT), minute)

    def _put_back(self, buffered: dict[BufferKey, Counter[CountKey]]) -> None:
        with self._lock:
            for key, counts in buffered.items():
                self._buffered.setdefault(key, Counter()).update(counts)


def _flush_until_empty(reference: "weakref.ref[UsageBuffer]") -> None:
    """Writes until all counts are in the store, or the engine is gone. Runs in a thread, so that no check
    waits."""
    time.sleep(FLUSH_INTERVAL)
    while (buffer := reference()) is not None:
        try:
            buffer.flush()
        except BaseException:
            buffer.stop()
            raise
        if buffer.may_end():
            return
        del buffer
        time.sleep(FLUSH_INTERVAL)
