"""The framework's throttle classes with rates of their own, by name and behaviour; exact under
concurrency, because each request is one script call and not a read and a write."""

import logging
from collections.abc import Mapping, Sequence
from time import time
from typing import TYPE_CHECKING, Any

from django.core.cache import cache as default_cache
from django.core.cache import caches
from django_redis.cache import RedisCache
from rest_framework.request import Request
from rest_framework.throttling import AnonRateThrottle, ScopedRateThrottle, SimpleRateThrottle, UserRateThrottle

from limits.conf import project, setting
from limits.domain.caller_address import canonical_address
from limits.domain.limit import SECOND
from limits.domain.rate import Rate, parse_rate
from limits.protection import admits_without_rules
from limits.seldom import HOUR, SeldomLog
from limits.store.caches import redis_alias_of
from limits.store.connection import hot_connections
from limits.store.deadline import Deadline
from limits.store.errors import StoreError
from limits.store.keys import Keys
from limits.store.rate_log import Admission, RateLog
from limits.throttling.errors import CannotDecide

if TYPE_CHECKING:
    from rest_framework.views import APIView

_store_away = SeldomLog(logging.getLogger(__name__))
_not_exact = SeldomLog(logging.getLogger(__name__), HOUR)


class History(Sequence[float]):
    """What is known of the framework's ``history``: how many entries there are, the oldest, and the
    one whose expiry ends a denial."""

    def __init__(self, entries: int, known: Mapping[int, float]) -> None:
        """``known``: index → seconds."""
        self._entries = entries
        self._known = known

    def __len__(self) -> int:
        return self._entries

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            raise LookupError(_UNKNOWN)
        if index not in range(-self._entries, self._entries):
            raise IndexError(index)
        entry = self._known.get(index % self._entries)
        if entry is None:
            # Not an IndexError, at which a loop would end as if there were no more entries.
            raise LookupError(_UNKNOWN)
        return entry


def _history(admission: Admission, quota: int) -> History:
    known = {quota - 1: admission.blocking, admission.entries - 1: admission.oldest}
    return History(admission.entries, {at: moment / SECOND for at, moment in known.items() if moment is not None})


_UNKNOWN = "Of this history only its length and its oldest entry, history[-1], are known."

_NOT_EXACT = (
    "The cache of a throttle class lies in no Redis that django-redis knows, so its requests are counted as the "
    "framework itself counts them, and more are admitted under load. In tests that is right."
)


class AtomicSimpleRateThrottle(SimpleRateThrottle):
    """``SimpleRateThrottle``, decided in one script call.

    Everything that the framework documents holds: ``rate``, ``scope``, ``THROTTLE_RATES``,
    ``get_cache_key``, ``timer``, ``cache``, ``throttle_success``, ``throttle_failure``, ``wait``.
    ``cache`` names a Redis; nothing is kept in it under the framework's own keys. The clock is the
    store's, unless ``timer`` was replaced. Of ``history`` only its length and ``[-1]`` are there.
    In a cache of another kind, such as that of a project's tests, requests are counted there, by
    the framework's own code.
    """

    history: Sequence[float]  # type: ignore[assignment]
    num_requests: int
    duration: int

    def parse_rate(self, rate: str | None) -> tuple[int | None, int | None]:
        """``100/hour``, and ``10/5m``. Raises :class:`~limits.domain.rate.InvalidRate`."""
        return (None, None) if rate is None else parse_rate(rate)

    def get_ident(self, request: Request) -> str | None:  # type: ignore[override]
        """The framework's answer, each address in it without a port and in one form: a proxy that adds
        the port of the connection would otherwise make each connection another caller. None, as the
        framework's, for a request that knows no address."""
        found: str | None = super().get_ident(request)
        return None if found is None else ",".join(map(canonical_address, found.split(",")))

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Whether the request may go on. Where the store is away, what ``WITHOUT_RULESET`` says:
        yes, or :class:`~limits.throttling.CannotDecide`."""
        if self.rate is None or not setting("ENABLED"):
            return True
        if (location := self._location()) is None:
            _not_exact.warning("%s", _NOT_EXACT)
            return super().allow_request(request, view)
        self.key = self.get_cache_key(request, view)
        return self.key is None or self._decide(self.key, location)

    def _decide(self, key: str, location: str) -> bool:
        try:
            admission = self._admit(key, location)
        except StoreError as error:
            if admits_without_rules(error, _store_away):
                return True
            raise CannotDecide from error
        self.now = admission.now / SECOND
        self.history = _history(admission, self.num_requests)
        return self.throttle_success() if admission.admitted else self.throttle_failure()

    def throttle_success(self) -> bool:
        """Called when a request was admitted; it is in the log by then."""
        return isinstance(self.history, History) or super().throttle_success()

    def wait(self) -> float | None:
        """Seconds until a request would be admitted; None where the rate admits none. The framework
        has no answer after a rate was lowered, and a wrong one for a rate of 0; its own histories,
        which are lists, it judges itself."""
        if not isinstance(self.history, History) or len(self.history) < self.num_requests:
            return super().wait()
        if self.num_requests == 0:
            return None
        return self.duration - (self.now - self.history[self.num_requests - 1])

    def _location(self) -> str | None:
        """The Redis of this class, a URL or an alias; None where its cache is in none."""
        if self.cache is not default_cache:
            return redis_alias_of(self.cache)
        name: str = setting("REDIS")
        return name if "://" in name or isinstance(caches[name], RedisCache) else None

    def _admit(self, key: str, location: str) -> Admission:
        log = RateLog(hot_connections(location), Keys(setting("NAMESPACE")), project())
        rate = Rate(self.num_requests, self.duration)
        return log.admit(self.cache.make_key(key), rate, Deadline(setting("CHECK_DEADLINE")), now=self._own_time())

    def _own_time(self) -> int | None:
        """Microseconds by a ``timer`` that replaced the framework's; None: the store's clock."""
        return None if self.timer is time else round(self.timer() * SECOND)


class AtomicAnonRateThrottle(AnonRateThrottle, AtomicSimpleRateThrottle):
    """``AnonRateThrottle``: who is not logged in, by address."""


class AtomicUserRateThrottle(UserRateThrottle, AtomicSimpleRateThrottle):
    """``UserRateThrottle``: users by their key, others by address."""


class AtomicScopedRateThrottle(ScopedRateThrottle, AtomicSimpleRateThrottle):
    """``ScopedRateThrottle``: views that have a ``throttle_scope``."""
