"""Decisions that were made without the store, counted here until the store takes the counts."""

import threading
import time
import weakref
from collections import Counter

from limits.domain.counting import Count, counts_of
from limits.domain.decision import Decision
from limits.forking import renewed_when_forked
from limits.store.counting import Counting
from limits.store.deadline import Deadline
from limits.store.errors import AnswerLost, StoreDataError, StoreUnavailable

MAX_PLACES = 10_000
"""Clients, endpoints and minutes that one process counts apart; beyond that, clients go without
their names."""

PAUSE = 1.0
"""Seconds between two attempts to bring the counts to the store."""

PATIENCE = 0.5
"""Seconds that one call to the store may take here, where nobody waits."""

_MINUTE = 60_000_000

Place = tuple[int, str, str | None]
"""Minute since 1970, client, endpoint."""


class Uncounted:
    """The counts of one process, which end with it. Safe for threads."""

    def __init__(self, counting: Counting) -> None:
        self._counting = counting
        renewed_when_forked(self)

    def renew(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[Place, Counter[tuple[str, str]]] = {}
        self._bringing = False

    def add(self, decision: Decision, now: int) -> None:
        """Counts a decision that was made at ``now`` (microseconds since 1970)."""
        place = now // _MINUTE, decision.client, decision.endpoint
        with self._lock:
            if place not in self._places and len(self._places) >= MAX_PLACES:
                place = place[0], "", decision.endpoint
            counts = self._places.setdefault(place, Counter())
            for kind, policy, amount in counts_of(decision):
                counts[kind, policy] += amount
            if not self._bringing:
                self._bringing = True
                threading.Thread(target=_bring, args=(weakref.ref(self),), name="uncounted", daemon=True).start()

    def is_done(self) -> bool:
        """Whether everything is there; then whoever brings it may end."""
        with self._lock:
            self._bringing = bool(self._places)
            return not self._bringing

    def stop(self) -> None:
        """Whoever brought the counts does so no more; the next one to be added starts anew."""
        with self._lock:
            self._bringing = False

    def bring(self) -> None:
        """Brings to the store what it takes."""
        with self._lock:
            places, self._places = self._places, {}
        damaged: dict[Place, Counter[tuple[str, str]]] = {}
        while places:
            place, counts = places.popitem()
            try:
                self._count(place, counts)
            except AnswerLost:
                # It may have been counted, and is never counted twice.
                continue
            except StoreDataError:
                damaged[place] = counts
            except StoreUnavailable:
                places[place] = counts
                self._keep(places)
                self._keep(damaged)
                return
            except BaseException:
                # A mistake of ours surfaces, and costs these counts only.
                self._keep(places)
                self._keep(damaged)
                raise
        self._keep(damaged)

    def _count(self, place: Place, counts: Counter[tuple[str, str]]) -> None:
        minute, client, endpoint = place
        rows = [Count(kind, policy, amount) for (kind, policy), amount in counts.items()]
        self._counting.count(client, endpoint, rows, Deadline(PATIENCE), minute)

    def _keep(self, places: dict[Place, Counter[tuple[str, str]]]) -> None:
        with self._lock:
            for place, counts in places.items():
                self._places.setdefault(place, Counter()).update(counts)


def _bring(reference: "weakref.ref[Uncounted]") -> None:
    """Until everything is there, or nobody decides by these rules any more. A thread, so that nobody
    waits for it."""
    time.sleep(PAUSE)
    while (uncounted := reference()) is not None:
        try:
            uncounted.bring()
        except BaseException:
            uncounted.stop()
            raise
        if uncounted.is_done():
            return
        del uncounted
        time.sleep(PAUSE)
