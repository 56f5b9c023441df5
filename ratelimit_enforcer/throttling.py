"""The throttle classes for Django REST Framework; a setting is enough to use them.

REST_FRAMEWORK = {"DEFAULT_THROTTLE_CLASSES": ["ratelimit_enforcer.throttling.PolicyThrottle"]}

:class:`PolicyThrottle` applies the published policies. The ``Atomic…`` classes replace the framework's
classes with rates, with the same behaviour. They are exact under concurrency, because each request is one
script call and not a read and a write.

The framework imports its throttle classes while it defines ``APIView``, so nothing here may import
``rest_framework.views``, or a model.
"""

import logging
from collections.abc import Mapping, Sequence
from time import time
from typing import TYPE_CHECKING, Any

from django.core.cache import cache as default_cache
from django.core.cache import caches
from django_redis.cache import RedisCache
from rest_framework import status
from rest_framework.exceptions import APIException, PermissionDenied, Throttled
from rest_framework.request import Request
from rest_framework.throttling import (
    AnonRateThrottle,
    BaseThrottle,
    ScopedRateThrottle,
    SimpleRateThrottle,
    UserRateThrottle,
)

from ratelimit_enforcer.client_identifier import AnyRequest, canonical_address, client_of
from ratelimit_enforcer.conf import project, setting
from ratelimit_enforcer.domain.headers import (
    QUOTA_EXCEEDED_TITLE,
    QUOTA_EXCEEDED_TYPE,
    closest_to_denying,
    violated_policies,
)
from ratelimit_enforcer.domain.limit import SECOND_US
from ratelimit_enforcer.domain.rate import Rate, parse_rate
from ratelimit_enforcer.log_limiter import HOUR_SECONDS, RateLimitedLog
from ratelimit_enforcer.protection import (
    FORBIDDEN,
    OK,
    STORE_RETRY_AFTER,
    TOO_MANY_REQUESTS,
    Verdict,
    admits_without_rules,
    decisions_on,
    judge,
)
from ratelimit_enforcer.request_attributes import RequestAttributes
from ratelimit_enforcer.request_limit import RequestLimit, limit_of
from ratelimit_enforcer.store.connections.factory import redis_alias_of, store_connections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreError
from ratelimit_enforcer.store.keys import Keys
from ratelimit_enforcer.store.rate_log import Admission, RateLog
from ratelimit_enforcer.view_options import attributes_of_view, cost_of, option, refund_of

if TYPE_CHECKING:
    from rest_framework.views import APIView


class CannotDecide(APIException):
    """503: the store is unavailable, or no rules were published."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The rate limit of this request could not be decided. Try again."
    default_code = "store_unavailable"
    wait = STORE_RETRY_AFTER
    """Seconds until a retry; the framework sends it as ``Retry-After``."""


def exception_of(verdict: Verdict) -> APIException:
    """The framework exception for a request that is not admitted: ``Throttled`` with the seconds to wait,
    ``PermissionDenied`` for a blocked client, else :class:`CannotDecide`."""
    if verdict.status == TOO_MANY_REQUESTS:
        return Throttled(verdict.retry_after)
    if verdict.status == FORBIDDEN:
        return PermissionDenied("This client is blocked.", code="blocked")
    return CannotDecide()


def problem_fields(request: AnyRequest) -> dict[str, Any]:
    """``type``, ``title``, ``status`` and ``violated-policies`` for the denial of this request; empty if
    no policy denied it."""
    denied = [decision for decision in decisions_on(request) if decision.denying]
    if not denied:
        return {}
    return {
        "type": QUOTA_EXCEEDED_TYPE,
        "title": QUOTA_EXCEEDED_TITLE,
        "status": TOO_MANY_REQUESTS,
        "violated-policies": violated_policies(closest_to_denying(denied)),
    }


class PolicyThrottle(BaseThrottle):
    """Checks each request once, against all limits together.

    A view may set ``throttle_endpoint`` (a slug; default: found by method and path) and ``throttle_cost``
    (a number, or a callable that takes the request; default: the endpoint's cost). ``throttle_reserve`` instead of the
    cost reserves it, and the view settles it with ``request.rate_limit``
    (:class:`~ratelimit_enforcer.request_limit.RequestLimit`). ``throttle_refund``: ``"5xx"``, or a callable that takes
    the response: such a request costs nothing. A viewset may set mappings of its actions to such values.
    ``throttle_attributes``: attribute → value or callable that takes the request; or a callable that takes the request
    and returns such a mapping.
    """

    def __init__(self) -> None:
        self._verdict: Verdict | None = None

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Whether the request is admitted. Raises ``PermissionDenied`` if the client is blocked, and
        :class:`~ratelimit_enforcer.throttling.CannotDecide`."""
        limit, (cost, is_reserved) = limit_of(request), cost_of(request, view)
        verdict = self._verdict = judge(
            request,
            self.get_client(request, view),
            endpoint=option(view, "throttle_endpoint"),
            cost=cost,
            attributes=RequestAttributes(request, attributes_of_view(view), self),
            reserves=is_reserved,
            refund=refund_of(view),
        )
        if limit.is_holding:
            _connect(limit, view)
        if verdict.status not in (OK, TOO_MANY_REQUESTS):
            raise exception_of(verdict)
        return verdict.status == OK

    def wait(self) -> float | None:
        """Seconds until the request would be admitted, at least 1; None if waiting cannot help."""
        return self._verdict.retry_after if self._verdict else None

    def get_client(self, request: Request, view: "APIView") -> str:
        """The client's key; subclasses may override this."""
        return client_of(request, self)


def _connect(limit: RequestLimit, view: "APIView") -> None:
    """Lets the limit see the view's response, and whether another throttle class, such as one of the framework's,
    denies: then the framework calls ``throttled`` of the view."""
    throttled = getattr(view, "throttled", None)

    def deny(request: Request, wait: float | None) -> Any:
        limit.deny()
        return throttled(request, wait) if throttled else None

    if limit.view is not view:
        limit.view = view
        view.throttled = deny  # type: ignore[method-assign]


_store_unavailable = RateLimitedLog(logging.getLogger(__name__))
_not_exact = RateLimitedLog(logging.getLogger(__name__), HOUR_SECONDS)


class History(Sequence[float]):
    """The known part of the framework's ``history``: the number of entries, the oldest entry, and the
    entry whose expiry ends a denial."""

    def __init__(self, entries: int, known: Mapping[int, float]) -> None:
        """``known``: index → time in seconds."""
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
            # Not an IndexError, which would end a loop as if there were no more entries.
            raise LookupError(_UNKNOWN)
        return entry


def _history(admission: Admission, quota: int) -> History:
    known = {quota - 1: admission.blocking, admission.entries - 1: admission.oldest}
    return History(admission.entries, {at: moment / SECOND_US for at, moment in known.items() if moment is not None})


_UNKNOWN = "Of this history, only the length and the oldest entry, history[-1], are known."

_NOT_EXACT = (
    "The cache of a throttle class is not a Redis server of django-redis, so requests are counted as in the "
    "framework itself, and more are admitted under load. In tests, this is expected."
)


class AtomicSimpleRateThrottle(SimpleRateThrottle):
    """``SimpleRateThrottle``, decided in one script call.

    Everything that the framework documents is supported: ``rate``, ``scope``, ``THROTTLE_RATES``,
    ``get_cache_key``, ``timer``, ``cache``, ``throttle_success``, ``throttle_failure``, ``wait``.
    ``cache`` selects the Redis; nothing is stored there under the framework's own keys. The clock is the
    store's, unless ``timer`` was replaced. Of ``history``, only the length and ``[-1]`` are available.
    With a cache of another kind, such as in a project's tests, requests are counted in that cache by
    the framework's own code.
    """

    history: Sequence[float]  # type: ignore[assignment]
    num_requests: int
    duration: int

    def parse_rate(self, rate: str | None) -> tuple[int | None, int | None]:
        """Reads ``100/hour`` and ``10/5m`` into (requests, seconds). Raises
        :class:`~ratelimit_enforcer.domain.rate.InvalidRate`."""
        return (None, None) if rate is None else parse_rate(rate)

    def get_ident(self, request: Request) -> str | None:  # type: ignore[override]
        """The framework's answer, with each address normalized and without port: if a proxy appends the port
        of the connection, each connection would otherwise be another caller. None, like the framework's, for
        a request without an address."""
        found: str | None = super().get_ident(request)
        return None if found is None else ",".join(map(canonical_address, found.split(",")))

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Whether the request is admitted. If the store is unavailable, ``WITHOUT_RULESET`` decides: True, or
        :class:`~ratelimit_enforcer.throttling.CannotDecide` is raised."""
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
            if admits_without_rules(error, _store_unavailable):
                return True
            raise CannotDecide from error
        self.now = admission.now / SECOND_US
        self.history = _history(admission, self.num_requests)
        return self.throttle_success() if admission.admitted else self.throttle_failure()

    def throttle_success(self) -> bool:
        """Called when a request was admitted; the script has already added it to the log."""
        return isinstance(self.history, History) or super().throttle_success()

    def wait(self) -> float | None:
        """Seconds until a request would be admitted; None if the rate admits none. The framework has no answer
        after a rate was lowered, and a wrong one for a rate of 0. Histories of the framework itself, which
        are lists, are left to the framework."""
        if not isinstance(self.history, History) or len(self.history) < self.num_requests:
            return super().wait()
        if self.num_requests == 0:
            return None
        return self.duration - (self.now - self.history[self.num_requests - 1])

    def _location(self) -> str | None:
        """The Redis of this class, as a URL or an alias; None if its cache is not in Redis."""
        if self.cache is not default_cache:
            return redis_alias_of(self.cache)
        name: str = setting("REDIS")
        return name if "://" in name or isinstance(caches[name], RedisCache) else None

    def _admit(self, key: str, location: str) -> Admission:
        log = RateLog(store_connections(location), Keys(setting("NAMESPACE")), project())
        rate = Rate(self.num_requests, self.duration)
        return log.admit(
            self.cache.make_key(key), rate, Deadline(setting("CHECK_DEADLINE")), now=self._replaced_timer()
        )

    def _replaced_timer(self) -> int | None:
        """The time of a replaced ``timer`` in microseconds; None: use the store's clock."""
        return None if self.timer is time else round(self.timer() * SECOND_US)


class AtomicAnonRateThrottle(AnonRateThrottle, AtomicSimpleRateThrottle):
    """``AnonRateThrottle``: requests without a login, counted by address."""


class AtomicUserRateThrottle(UserRateThrottle, AtomicSimpleRateThrottle):
    """``UserRateThrottle``: users by their primary key, others by address."""


class AtomicScopedRateThrottle(ScopedRateThrottle, AtomicSimpleRateThrottle):
    """``ScopedRateThrottle``: requests to views with a ``throttle_scope``."""
