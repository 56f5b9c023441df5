"""Completes requests on a Cluster after the check was answered: refunds and confirmations.

A thread does this work with a separate timeout, so that no caller waits. It retries while a master is
unavailable. Work that it does not finish (the process ends, or too many jobs are waiting) is left to the
resolver of another process, because every entry becomes overdue eventually.

The resolver refunds or confirms entries that a lost process or master left pending on a Cluster. An
overdue entry belongs to a request that can no longer be committed (the client's part), or whose process
has not confirmed it (the other parts). Overdue entries are resolved by the process whose check found
them, and by the reconciler. Two resolvers at the same time do no harm.
"""

import logging
import threading
import time
import weakref
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from redis.exceptions import RedisError, ResponseError

from ratelimit_enforcer.per_process import renew_after_fork
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreError, StoreUnavailable
from ratelimit_enforcer.store.pending import (
    COMMIT_RETENTION,
    Consumption,
    Outcome,
    Overdue,
    PendingEntries,
    UnreadableEntry,
    Usage,
    home_of,
    is_home,
)

log = logging.getLogger(__name__)

REFUNDED_UNTIL = COMMIT_RETENTION // 2 * 1_000_000
"""Age in microseconds up to which a request that is unknown in its client's shard counts as refunded. An
older one may have been committed and forgotten. It is half of that time, because the clocks of two masters
differ."""


class Resolver:
    """Resolves overdue entries. Methods raise :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`."""

    def __init__(self, pending: PendingEntries) -> None:
        self._pending = pending

    def resolve(self, shard: int, timeout: float) -> int:
        """Resolves the overdue entries of a shard, with a timeout of ``timeout`` seconds for each. Returns the
        number of resolved entries; entries whose client's master is unavailable are skipped."""
        resolved = 0
        for found in self._pending.overdue(shard, Deadline(timeout)):
            if isinstance(found, UnreadableEntry):
                self._set_aside(Consumption(shard, found.entry, ()), found, timeout)
                continue
            try:
                resolved += self._resolve(found, Deadline(timeout))
            except (StoreUnavailable, UnreadableEntry) as error:
                # The damaged entry is in another shard, and is set aside when that shard is resolved.
                log.info("pending_not_resolved: %s", error, extra={"event": "pending_not_resolved"})
            except ResponseError as error:
                self._set_aside(found.consumption, error, timeout)
        return resolved

    def _resolve(self, found: Overdue, deadline: Deadline) -> bool:
        entry = found.consumption.entry
        if is_home(entry):
            return bool(self._pending.refund(found.consumption, deadline))
        outcome = self._pending.outcome(found.home, home_of(entry), deadline)
        if outcome is Outcome.OPEN:
            return False
        if outcome is Outcome.REFUNDED and found.age < REFUNDED_UNTIL:
            return bool(self._pending.refund(found.consumption, deadline))
        self._pending.confirm(found.consumption.shard, [found.consumption], deadline)
        return True

    def _set_aside(self, consumption: Consumption, error: Exception, timeout: float) -> None:
        """Ends an entry that cannot be read or refunded, so that it does not block the others. The cost that
        it consumed is not refunded."""
        log.error("pending_set_aside: %s", error, extra={"event": "pending_set_aside", "error": str(error)})
        self._pending.confirm(consumption.shard, [consumption], Deadline(timeout))


TIMEOUT = 0.5
"""Timeout of one call to the store, in seconds; no caller waits for it."""

RETRY_INTERVAL = 0.25
"""Seconds between two attempts while a master is unavailable, and between two lookups in one shard."""

CONFIRM_DELAY = 0.05
"""Seconds during which confirmations are collected, so that one call confirms many."""

IDLE_TIMEOUT = 5.0
"""Seconds without work after which the thread ends."""

MAX_JOBS = 10_000
"""Maximum number of jobs waiting in one process. Further jobs are left to the resolver."""

MAX_ENTRIES = 500
"""Maximum number of entries in one call."""


@dataclass(frozen=True, slots=True)
class Refund:
    """A part to refund; if ``usage`` is set, the request is counted in the same call."""

    consumption: Consumption
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A committed request: its ``parts`` other than the client's are to be confirmed. Then the request can
    be forgotten at ``home``, where it was committed."""

    home: Consumption
    parts: tuple[Consumption, ...]


@dataclass(frozen=True, slots=True)
class InDoubt:
    """A request that may or may not have been committed: its parts are to be confirmed or refunded."""

    home: Consumption
    parts: tuple[Consumption, ...]


Job = Refund | Confirmation | InDoubt


class Completer:
    """The jobs of one process, lost when the process ends. Thread-safe."""

    def __init__(self, pending: PendingEntries) -> None:
        self._pending = pending
        self._resolver = Resolver(pending)
        renew_after_fork(self)

    def renew(self) -> None:
        self._changed = threading.Condition()
        self._urgent: deque[Refund | InDoubt] = deque()
        self._confirmations: deque[Confirmation] = deque()
        self._confirm_at = 0.0
        self._shards: set[int] = set()
        self._resolve_again_at: dict[int, float] = {}
        self._unavailable: set[int] = set()
        self._is_running = self._is_full = False

    def add(self, jobs: Iterable[Job]) -> None:
        """Schedules these jobs, and starts the thread if it does not run. Does not wait, and raises no errors of
        the store; beyond :data:`MAX_JOBS`, jobs are left to the resolver."""
        with self._changed:
            for job in jobs:
                self._put(job)
            self._wake()

    def resolve(self, shard: int) -> None:
        """Schedules a search for overdue entries in a shard, unless one was made within the last
        :data:`RETRY_INTERVAL`."""
        now = time.monotonic()
        with self._changed:
            if self._resolve_again_at.get(shard, 0.0) <= now:
                self._resolve_again_at[shard] = now + RETRY_INTERVAL
                self._shards.add(shard)
                self._wake()

    def _put(self, job: Job) -> None:
        if len(self._urgent) + len(self._confirmations) >= MAX_JOBS:
            self._log_full()
        elif isinstance(job, Confirmation):
            if not self._confirmations:
                self._confirm_at = time.monotonic() + CONFIRM_DELAY
            self._confirmations.append(job)
        else:
            self._urgent.append(job)

    def _log_full(self) -> None:
        if not self._is_full:
            self._is_full = True
            log.warning("completion_full: further jobs are left to other processes", extra={"event": "completion_full"})

    def _wake(self) -> None:
        if self._is_running:
            self._changed.notify()
            return
        self._is_running = True
        arguments = weakref.ref(self), self._changed
        threading.Thread(target=_complete, args=arguments, name="completion", daemon=True).start()

    def seconds_until_due(self) -> float | None:
        """Seconds until the next job is due; None: no jobs. The caller must have the lock."""
        if self._urgent or self._shards:
            return 0.0
        return max(0.0, self._confirm_at - time.monotonic()) if self._confirmations else None

    def may_end(self) -> bool:
        """Whether there are no jobs, so that the thread may end."""
        with self._changed:
            self._is_running = self.seconds_until_due() is not None
            return not self._is_running

    def stop(self) -> None:
        """Records that the thread ends; the next :meth:`add` or :meth:`resolve` starts another."""
        with self._changed:
            self._is_running = False

    def work(self) -> bool:
        """Attempts every job that is due, once. Returns False if some must be retried."""
        with self._changed:
            self._unavailable, self._is_full = set(), False
            jobs, self._urgent = self._urgent, deque()
            shards, self._shards = self._shards, set()
        again: list[Job] = [job for job in jobs if not self._run_job(job)]
        for shard in shards:
            self._attempt(shard, self._resolver.resolve, shard, TIMEOUT)
        again += self._confirm()
        if again:
            self.add(again)
        return not again

    def _run_job(self, job: Refund | InDoubt) -> bool:
        """Returns False if the job must be retried."""
        if isinstance(job, Refund):
            return self._attempt(job.consumption.shard, self._refund, job)
        return self._attempt(job.home.shard, self._look_up_outcome, job)

    def _refund(self, job: Refund) -> None:
        self._pending.refund(job.consumption, Deadline(TIMEOUT), job.usage)

    def _look_up_outcome(self, job: InDoubt) -> None:
        outcome = self._pending.outcome(job.home.shard, job.home.entry, Deadline(TIMEOUT))
        if outcome is Outcome.OPEN:
            raise StoreUnavailable("The request may still be committed.")
        if outcome is Outcome.COMMITTED:
            self.add([Confirmation(job.home, job.parts)])
        else:
            self.add(map(Refund, job.parts))

    def _confirm(self) -> list[Job]:
        """Returns the jobs that must be retried."""
        with self._changed:
            if time.monotonic() < self._confirm_at:
                return []
            jobs, self._confirmations = self._confirmations, deque()
        self._in_one_call(self._pending.confirm, (part for job in jobs for part in job.parts))
        left = [Confirmation(job.home, tuple(filter(self._is_unavailable, job.parts))) for job in jobs]
        self._in_one_call(self._pending.drop_committed, (job.home for job in left if not job.parts))
        return [job for job in left if job.parts or self._is_unavailable(job.home)]

    def _is_unavailable(self, consumption: Consumption) -> bool:
        return consumption.shard in self._unavailable

    def _in_one_call(self, call: Callable[..., None], consumptions: Iterable[Consumption]) -> None:
        """Calls once for the entries of each shard, or several times if they are too many for one call."""
        by_shard: dict[int, list[Consumption]] = defaultdict(list)
        for consumption in consumptions:
            by_shard[consumption.shard].append(consumption)
        for shard, entries in by_shard.items():
            for first in range(0, len(entries), MAX_ENTRIES):
                self._attempt(shard, self._with_timeout, call, shard, entries[first : first + MAX_ENTRIES])

    def _with_timeout(self, call: Callable[..., None], shard: int, entries: Sequence[Consumption]) -> None:
        call(shard, entries, Deadline(TIMEOUT))

    def _attempt(self, shard: int, call: Callable[..., object], *arguments: object) -> bool:
        """Returns False if the shard's master is unavailable; each shard is tried until its first failure in a
        round. Any other error is logged and affects this job only: the resolver finds overdue entries."""
        if shard in self._unavailable:
            return False
        try:
            call(*arguments)
        except StoreUnavailable:
            self._unavailable.add(shard)
            return False
        except (RedisError, StoreError, UnreadableEntry):
            log.exception("completion_failed", extra={"event": "completion_failed"})
        return True


def _complete(reference: "weakref.ref[Completer]", changed: threading.Condition) -> None:
    """Works until there are no jobs for a while, or the completer is no longer in use."""
    while (completer := reference()) is not None:
        with changed:
            seconds = completer.seconds_until_due()
            if seconds != 0:
                # A waiting thread must not keep the completer alive.
                del completer
                notified = changed.wait(IDLE_TIMEOUT if seconds is None else seconds)
                if notified or seconds is not None:
                    continue
                completer = reference()
                if completer is None or completer.may_end():
                    return
        if not _work_once(completer):
            time.sleep(RETRY_INTERVAL)


def _work_once(completer: Completer) -> bool:
    try:
        return completer.work()
    except BaseException:
        completer.stop()
        raise
