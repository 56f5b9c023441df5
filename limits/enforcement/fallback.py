"""Decisions without the store: what each policy says of that, the strictest answer first."""

import threading
import time

from limits.domain.decision import Decision, LimitState, denial_reason
from limits.domain.words import Mode, OnStoreFailure, Reason
from limits.enforcement.answers import STATUS_REASONS
from limits.enforcement.attempts import Attempt
from limits.enforcement.local_counters import LocalCounters
from limits.forking import renewed_when_forked
from limits.store.breaker import Outages
from limits.store.deadline import Deadline
from limits.store.errors import StoreError
from limits.store.heartbeats import ALONE, BEAT_SECONDS, Heartbeats

BEAT_PATIENCE = 0.5
"""Seconds that one heartbeat may take."""


class Fallback:
    """Answers for one process while the store is away. Safe for threads."""

    def __init__(self, outages: Outages, heartbeats: Heartbeats) -> None:
        self._outages = outages
        self._heartbeats = heartbeats
        self._local = LocalCounters()
        renewed_when_forked(self)

    def renew(self) -> None:
        self._beating = threading.Lock()
        self._share = ALONE
        self._next_beat = 0.0

    def beat(self) -> None:
        """Says every few seconds that this process lives, and learns its share: called with checks, so
        that a process that nobody asks takes no share, and done by a thread, so that no check waits."""
        if time.monotonic() < self._next_beat or not self._beating.acquire(blocking=False):
            return
        self._next_beat = time.monotonic() + BEAT_SECONDS
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def _beat(self) -> None:
        """The share last known stays where the store is unavailable."""
        try:
            self._heartbeats.report_damage(Deadline(BEAT_PATIENCE))
            self._share = self._heartbeats.beat(Deadline(BEAT_PATIENCE))
        except StoreError:
            pass
        finally:
            self._beating.release()

    def decide(self, attempt: Attempt, now: int, *, consume: bool) -> Decision:
        """A decision that is marked as degraded: ``deny`` goes before ``local`` before ``allow``.

        ``now`` is in microseconds since 1970.
        """
        enforced = {each.policy.on_store_failure for each in attempt.layout.policies if each.mode is Mode.ENFORCE}
        if OnStoreFailure.DENY in enforced:
            return _decision(attempt, Reason.STORE_UNAVAILABLE, allowed=False)
        states = self._ask_local(attempt, now, consume=consume)
        reason = STATUS_REASONS.get(attempt.record.status) or denial_reason(states)
        if reason is None and OnStoreFailure.ALLOW in enforced:
            return _decision(attempt, Reason.STORE_UNAVAILABLE, states, allowed=True)
        return _decision(attempt, reason, states, allowed=reason in (None, Reason.EXEMPT))

    def _ask_local(self, attempt: Attempt, now: int, *, consume: bool) -> tuple[LimitState, ...]:
        policies = [each for each in attempt.layout.policies if each.policy.on_store_failure is OnStoreFailure.LOCAL]
        return self._local.check(
            self._outages.trips, self._share, attempt.record.key, policies, attempt.cost, now, consume=consume
        )


def _decision(
    attempt: Attempt, reason: Reason | None, limits: tuple[LimitState, ...] = (), *, allowed: bool
) -> Decision:
    return Decision(
        allowed=allowed,
        reason=reason,
        client=attempt.record.key,
        plan=attempt.layout.plan,
        endpoint=attempt.layout.endpoint,
        cost=attempt.cost,
        ruleset=attempt.held.version.sequence,
        limits=limits,
        degraded=True,
    )
