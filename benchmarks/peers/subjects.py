"""The peers, each configured for a busy site according to its own documentation, with one limit.

Runs in an environment with the peers, without our packages.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from benchmarks.requests import Prepared, configure, django_request, drf_request, no_requests

Allow = Callable[[int], bool]
"""Checks whether the client with this number may send one more request."""

Renew = Callable[[], None]

Make = Callable[[str, int], tuple[Allow, Renew]]
"""(URL of the Redis, requests per minute) → a function that checks one request, and one that renews the requests."""

PATH = "/one"


def drf(url: str, quota: int) -> tuple[Allow, Renew]:
    configure(url)
    from rest_framework.throttling import UserRateThrottle

    throttle: Any = type("Throttle", (UserRateThrottle,), {"rate": f"{quota}/min"})
    request = Prepared(drf_request, PATH)
    return lambda number: bool(throttle().allow_request(request(number), None)), request.renew


def django_ratelimit(url: str, quota: int) -> tuple[Allow, Renew]:
    configure(url)
    core: Any = import_module("django_ratelimit.core")
    request = Prepared(django_request, PATH)
    options = {"group": "bench", "key": "user", "rate": f"{quota}/m", "increment": True}
    return lambda number: not core.is_ratelimited(request(number), **options), request.renew


def smart_decorator(url: str, quota: int) -> tuple[Allow, Renew]:
    from django.http import HttpResponse

    smart = _smart(url)
    answer = HttpResponse("done")
    view: Any = smart.rate_limit(key=lambda request, *_: f"user:{request.user.pk}", rate=f"{quota}/m")(lambda _: answer)
    request = Prepared(django_request, PATH)
    return lambda number: view(request(number)).status_code == 200, request.renew


def smart_backend(url: str, quota: int) -> tuple[Allow, Renew]:
    _smart(url)
    backend: Any = import_module("django_smart_ratelimit.backends").get_backend("redis")
    return lambda number: backend.incr(f"bare:{number}", 60) <= quota, no_requests


def _smart(url: str) -> Any:
    configure(url, RATELIMIT_BACKEND="redis", RATELIMIT_REDIS={"url": url}, RATELIMIT_COLLECT_METRICS=False)
    return import_module("django_smart_ratelimit")


def limits_moving_window(url: str, quota: int) -> tuple[Allow, Renew]:
    return _limits(url, quota, "MovingWindowRateLimiter")


def limits_sliding_counter(url: str, quota: int) -> tuple[Allow, Renew]:
    return _limits(url, quota, "SlidingWindowCounterRateLimiter")


def _limits(url: str, quota: int, strategy: str) -> tuple[Allow, Renew]:
    # Imported by name, because type checkers would find our own package ``limits``.
    library: Any = import_module("limits")
    storage = import_module("limits.storage").RedisStorage(url)
    limiter = getattr(import_module("limits.strategies"), strategy)(storage)
    item = library.RateLimitItemPerMinute(quota)
    return lambda number: bool(limiter.hit(item, strategy, f"user:{number}")), no_requests


def throttled_gcra(url: str, quota: int) -> tuple[Allow, Renew]:
    return _throttled(url, quota, "gcra")


def throttled_sliding_window(url: str, quota: int) -> tuple[Allow, Renew]:
    return _throttled(url, quota, "sliding_window")


def _throttled(url: str, quota: int, using: str) -> tuple[Allow, Renew]:
    library: Any = import_module("throttled")
    store = library.RedisStore(server=url)
    throttle = library.Throttled(using=using, quota=library.per_min(quota, burst=quota), store=store)
    return lambda number: not throttle.limit(f"user:{number}").limited, no_requests


SUBJECTS: dict[str, Make] = {
    "drf": drf,
    "django-ratelimit": django_ratelimit,
    "smart-decorator": smart_decorator,
    "smart-backend": smart_backend,
    "limits-moving": limits_moving_window,
    "limits-sliding": limits_sliding_counter,
    "throttled-gcra": throttled_gcra,
    "throttled-sliding": throttled_sliding_window,
}
