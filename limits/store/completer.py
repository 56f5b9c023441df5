"""What is left to do on a Cluster once a check was answered: refunds, and confirmations.

A thread does it, so that no caller waits for it, with a time limit of its own. It tries again while
a master is unavailable. What it does not come to (the process ends, or too much waits) is done by the
resolver of another process, since every entry is overdue some time.
"""

import logging
import threading
import time
import weakref
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from redis.exceptions import RedisError

from limits.forking import renewed_when_forked
from limits.store.deadline import Deadline
from limits.store.errors import StoreError, StoreUnavailable
from limits.store.pending import Consumption, NotAnEntry, Outcome, PendingEntries, Usage
from limits.store.resolver import Resolver

log = logging.getLogger(__name__)

PATIENCE = 0.5
"""Seconds that one call to the store may take here, where nobody waits."""

PAUSE = 0.25
"""Seconds between two attempts where a master is unavailable, and between two looks at one bucket."""

LINGER = 0.05
"""Seconds for which confirmations are gathered, so that one call confirms many."""

IDLE = 5.0
"""Seconds after which a thread that has nothing to do ends."""

MOST = 10_000
"""Jobs that wait in one process. More are left to the resolver."""

AT_ONCE = 500
"""Entries in one call."""


@dataclass(frozen=True, slots=True)
class Refund:
    """One part is to be refunded, and the request to be counted as ``usage`` says."""

    consumption: Consumption
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A request is committed: its ``parts`` beside the client's are to be confirmed, and then it is to
    be forgotten where it was committed, at ``home``."""

    home: Consumption
    parts: tuple[Consumption, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """Nobody knows whether a request was committed: its parts are to be confirmed or refunded."""

    home: Consumption
    parts: tuple[Consumption, ...]


Job = Refund | Confirmation | Question


class Completer:
    """The jobs of one process, which end with it. Safe for threads."""

    def __init__(self, pending: PendingEntries) -> None:
        self._pending = pending
        self._resolver = Resolver(pending)
        renewed_when_forked(self)

    def renew(self) -> None:
        self._changed = threading.Condition()
        self._urgent: deque[Refund | Question] = deque()
        self._confirmations: deque[Confirmation] = deque()
        self._confirm_at = 0.0
        self._buckets: set[int] = set()
        self._resolve_again_at: dict[int, float] = {}
        self._unavailable: set[int] = set()
        self._is_running = self._is_full = False

    def add(self, jobs: Iterable[Job]) -> None:
        """Does these soon."""
        with self._changed:
            for job in jobs:
                self._put(job)
            self._wake()

    def resolve(self, bucket: int) -> None:
        """Looks soon at what is overdue in a bucket."""
        now = time.monotonic()
        with self._changed:
            if self._resolve_again_at.get(bucket, 0.0) <= now:
                self._resolve_again_at[bucket] = now + PAUSE
                self._buckets.add(bucket)
                self._wake()

    def _put(self, job: Job) -> None:
        if len(self._urgent) + len(self._confirmations) >= MOST:
            self._note_full()
        elif isinstance(job, Confirmation):
            if not self._confirmations:
                self._confirm_at = time.monotonic() + LINGER
            self._confirmations.append(job)
        else:
            self._urgent.append(job)

    def _note_full(self) -> None:
        if not self._is_full:
            self._is_full = True
            log.warning("completion_full: the rest is left to others", extra={"event": "completion_full"})

    def _wake(self) -> None:
        if self._is_running:
            self._changed.notify()
            return
        self._is_running = True
        arguments = weakref.ref(self), self._changed
        threading.Thread(target=_complete, args=arguments, name="completion", daemon=True).start()

    def rests_for(self) -> float | None:
        """Seconds until there is something to do; None: nothing waits. The caller holds the lock."""
        if self._urgent or self._buckets:
            return 0.0
        return max(0.0, self._confirm_at - time.monotonic()) if self._confirmations else None

    def ends(self) -> bool:
        """Whether the thread may end, since nothing waits."""
        with self._changed:
            self._is_running = self.rests_for() is not None
            return not self._is_running

    def stop(self) -> None:
        """Nobody does the jobs any more; the next one to be added starts a thread."""
        with self._changed:
            self._is_running = False

    def work(self) -> bool:
        """Does what is there once. Returns False where some of it has to be tried again."""
        with self._changed:
            self._unavailable, self._is_full = set(), False
            jobs, self._urgent = self._urgent, deque()
            buckets, self._buckets = self._buckets, set()
        again: list[Job] = [job for job in jobs if not self._do(job)]
        for bucket in buckets:
            self._attempt(bucket, self._resolver.resolve, bucket, PATIENCE)
        again += self._confirm()
        if again:
            self.add(again)
        return not again

    def _do(self, job: Refund | Question) -> bool:
        """Returns False where it has to be tried again."""
        if isinstance(job, Refund):
            return self._attempt(job.consumption.bucket, self._refund, job)
        return self._attempt(job.home.bucket, self._ask, job)

    def _refund(self, job: Refund) -> None:
        self._pending.refund(job.consumption, Deadline(PATIENCE), job.usage)

    def _ask(self, job: Question) -> None:
        outcome = self._pending.outcome(job.home.bucket, job.home.entry, Deadline(PATIENCE))
        if outcome is Outcome.OPEN:
            raise StoreUnavailable("The request may still be committed.")
        if outcome is Outcome.COMMITTED:
            self.add([Confirmation(job.home, job.parts)])
        else:
            self.add(map(Refund, job.parts))

    def _confirm(self) -> list[Job]:
        """Returns what has to be tried again."""
        with self._changed:
            if time.monotonic() < self._confirm_at:
                return []
            jobs, self._confirmations = self._confirmations, deque()
        self._in_one_call(self._pending.confirm, (part for job in jobs for part in job.parts))
        left = [Confirmation(job.home, tuple(filter(self._is_unavailable, job.parts))) for job in jobs]
        self._in_one_call(self._pending.forget_committed, (job.home for job in left if not job.parts))
        return [job for job in left if job.parts or self._is_unavailable(job.home)]

    def _is_unavailable(self, consumption: Consumption) -> bool:
        return consumption.bucket in self._unavailable

    def _in_one_call(self, call: Callable[..., None], consumptions: Iterable[Consumption]) -> None:
        """One call for the entries of each bucket, and for as many as a call takes."""
        by_bucket: dict[int, list[bytes]] = defaultdict(list)
        for bucket, entry, _ in consumptions:
            by_bucket[bucket].append(entry)
        for bucket, entries in by_bucket.items():
            for first in range(0, len(entries), AT_ONCE):
                self._attempt(bucket, self._with_patience, call, bucket, entries[first : first + AT_ONCE])

    def _with_patience(self, call: Callable[..., None], bucket: int, entries: Sequence[bytes]) -> None:
        call(bucket, entries, Deadline(PATIENCE))

    def _attempt(self, bucket: int, call: Callable[..., object], *arguments: object) -> bool:
        """Returns False where the bucket's master is unavailable: that is found out once in a round. Any
        other error is reported, and costs this job only: the resolver finds what is overdue."""
        if bucket in self._unavailable:
            return False
        try:
            call(*arguments)
        except StoreUnavailable:
            self._unavailable.add(bucket)
            return False
        except (RedisError, StoreError, NotAnEntry):
            log.exception("completion_failed", extra={"event": "completion_failed"})
        return True


def _complete(reference: "weakref.ref[Completer]", changed: threading.Condition) -> None:
    """Until nothing waits for a while, or nobody decides by these connections any more."""
    while (completer := reference()) is not None:
        with changed:
            seconds = completer.rests_for()
            if seconds != 0:
                # Whoever waits keeps nobody alive.
                del completer
                notified = changed.wait(IDLE if seconds is None else seconds)
                if notified or seconds is not None:
                    continue
                completer = reference()
                if completer is None or completer.ends():
                    return
        if not _worked(completer):
            time.sleep(PAUSE)


def _worked(completer: Completer) -> bool:
    try:
        return completer.work()
    except BaseException:
        completer.stop()
        raise
