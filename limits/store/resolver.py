"""What a lost process or master left pending on a Cluster is refunded, or confirmed.

An entry that is overdue belongs to a request that nobody can commit any more (the client's part), or
whose process has not confirmed it (the others). Whoever finds one acts: the process whose check met
it, and the reconciler. Two at once do no harm.
"""

import logging

from redis.exceptions import ResponseError

from limits.store import scripts
from limits.store.cluster_client import ClusterClient
from limits.store.deadline import Deadline
from limits.store.errors import StoreUnavailable, is_outage, outages_named
from limits.store.keys import Keys
from limits.store.pending import REMEMBERED, NotAnEntry, Outcome, Overdue, PendingEntries, home_of, is_home

log = logging.getLogger(__name__)

REFUNDED_UNTIL = REMEMBERED // 2 * 1_000_000
"""Age in microseconds up to which a request that is not known at its client's bucket counts as refunded.
Later it may have been committed and forgotten; half the time, since two masters' clocks differ."""


class Resolver:
    """Resolves overdue entries. Methods raise :class:`~limits.store.errors.StoreUnavailable`."""

    def __init__(self, pending: PendingEntries) -> None:
        self._pending = pending

    def resolve(self, bucket: int, patience: float) -> int:
        """Resolves the overdue entries of a bucket, each within so many seconds. Returns how many;
        those are left whose client's master is not available."""
        resolved = 0
        for found in self._pending.overdue(bucket, Deadline(patience)):
            if isinstance(found, NotAnEntry):
                self._set_aside(bucket, found.entry, found, patience)
                continue
            try:
                resolved += self._resolve(found, Deadline(patience))
            except (StoreUnavailable, NotAnEntry) as error:
                # Another bucket's: whoever resolves that one mends it.
                log.info("pending_not_resolved: %s", error, extra={"event": "pending_not_resolved"})
            except ResponseError as error:
                self._set_aside(bucket, found.consumption.entry, error, patience)
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
        self._pending.confirm(found.consumption.bucket, [entry], deadline)
        return True

    def _set_aside(self, bucket: int, entry: bytes, error: Exception, patience: float) -> None:
        """Ends an entry that nobody can read or refund, so that it does not stop the others: what it
        consumed stays consumed."""
        log.error("pending_set_aside: %s", error, extra={"event": "pending_set_aside", "error": str(error)})
        self._pending.confirm(bucket, [entry], Deadline(patience))

    def resolve_all(self, redis: ClusterClient, keys: Keys, patience: float) -> int:
        """Resolves the overdue entries of all buckets whose masters are available, ``patience`` seconds for
        each call. Returns how many. Raises where no node of the Cluster answers."""
        return sum(self._resolve_bucket(bucket, patience) for bucket in _buckets_with_overdue(redis, keys))

    def _resolve_bucket(self, bucket: int, patience: float) -> int:
        try:
            return self.resolve(bucket, patience)
        except (StoreUnavailable, ResponseError) as error:
            _report_unread(error)
            return 0


def _buckets_with_overdue(redis: ClusterClient, keys: Keys) -> list[int]:
    source = scripts.load("overdue").source
    with outages_named():
        pipeline = redis.pipeline()
        for pending in keys.pending:
            pipeline.eval(source, 2, *pending, 1)
        answers = pipeline.execute(raise_on_error=False)
    return [bucket for bucket, answer in enumerate(answers) if _has_overdue(answer)]


def _has_overdue(answer: object) -> bool:
    if isinstance(answer, Exception):
        _report_unread(answer)
        return False
    return isinstance(answer, list) and len(answer) > 1


def _report_unread(error: Exception) -> None:
    """Something that does not belong there is reported, and does not stop the others."""
    level = logging.INFO if is_outage(error) else logging.ERROR
    log.log(level, "pending_not_read: %s", error, extra={"event": "pending_not_read", "error": str(error)})
