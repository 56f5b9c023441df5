"""The framework's throttle classes with rates of their own, by name and behaviour; exact under
concurrency, because each request is one script call and not a read and a write."""

import logging
from collections.abc import Sequence
from time import time
from typing import TYPE_CHECKING, Any

from django.core.cache import cache as default_cache
from rest_framework.request import Request
from rest_framework.throttling import AnonRateThrottle, ScopedRateThrottle, SimpleRateThrottle, UserRateThrottle

from limits.conf import setting
from limits.domain.caller_address import canonical_address
from limits.domain.limit import SECOND
from limits.domain.rate import Rate, parse_rate
from limits.protection import admits_without_rules
from limits.seldom import SeldomLog
from limits.store.caches import alias_of
from limits.store.connection import hot_connections
from limits.store.deadline import Deadline
from limits.store.errors import StoreUnavailable
from limits.store.keys import Keys
from limits.store.rate_log import Admission, RateLog
from limits.throttling.errors import CannotDecide

if TYPE_CHECKING:
    from rest_framework.views import APIView

_store_away = SeldomLog(logging.getLogger(__name__))


class History(Sequence[float]):
    """What is known of the framework's ``history``: how many entries there are, and the oldest."""

    def __init__(self, entries: int, oldest: float | None) -> None:
        """``oldest`` in seconds; None where there is no entry."""
        self._entries = entries
        self._oldest = oldest

    def __len__(self) -> int:
        return self._entries

    def __getitem__(self, index: Any) -> Any:
        if self._oldest is not None and index in (-1, self._entries - 1):
            return self._oldest
        if index in range(-self._entries, self._entries) or isinstance(index, slice):
            # Not an IndexError, at which a loop would end as if there were no more entries.
            raise LookupError("Of this history only its length and its oldest entry, history[-1], are known.")
        raise IndexError(index)


class AtomicSimpleRateThrottle(SimpleRateThrottle):
    """``SimpleRateThrottle``, decided in one script call.

    Everything that the framework documents holds: ``rate``, ``scope``, ``THROTTLE_RATES``,
    ``get_cache_key``, ``timer``, ``cache``, ``throttle_success``, ``throttle_failure``, ``wait``.
    ``cache`` names a Redis; nothing is kept in it under the framework's own keys. The clock is the
    store's, unless ``timer`` was replaced. Of ``history`` only its length and ``[-1]`` are there.
    """

    history: Sequence[float]  # type: ignore[assignment]
    num_requests: int
    duration: int

    def parse_rate(self, rate: str | None) -> tuple[int | None, int | None]:
        """``100/hour``, and ``10/5m``. Raises :class:`~limits.domain.rate.InvalidRate`."""
        return (None, None) if rate is None else parse_rate(rate)

    def get_ident(self, request: Request) -> str:
        """The framework's answer, each address in it without a port and in one form: a proxy that adds
        the port of the connection would otherwise make each connection another caller."""
        return ",".join(canonical_address(each) for each in (super().get_ident(request) or "").split(","))

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Whether the request may go on. Where the store is away, what ``WITHOUT_RULESET`` says:
        yes, or :class:`~limits.throttling.CannotDecide`."""
        if self.rate is None:
            return True
        self.key = self.get_cache_key(request, view)
        if self.key is None:
            return True
        try:
            admission = self._admit(self.key)
        except StoreUnavailable as error:
            if admits_without_rules(error, _store_away):
                return True
            raise CannotDecide from error
        self.now = admission.now / SECOND
        oldest = None if admission.oldest is None else admission.oldest / SECOND
        self.history = History(admission.entries, oldest)
        return self.throttle_success() if admission.admitted else self.throttle_failure()

    def throttle_success(self) -> bool:
        """Called when a request was admitted; it is in the log by then."""
        return True

    def _admit(self, key: str) -> Admission:
        is_default = self.cache is default_cache
        connections = hot_connections(None if is_default else alias_of(self.cache))
        log = RateLog(connections, Keys(setting("NAMESPACE")))
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
