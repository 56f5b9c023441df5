"""The caches of the project: which of them a throttle class names, and which lie in a Redis."""

from typing import Any

from django.conf import settings
from django.core.cache import InvalidCacheBackendError, caches
from django.utils.connection import ConnectionProxy
from django_redis.cache import RedisCache


def alias_of(cache: Any) -> str:
    """The alias in ``CACHES`` of a cache object, whichever thread made it. Raises ``LookupError``."""
    if isinstance(cache, ConnectionProxy):
        return str(cache._alias)
    for alias in settings.CACHES:
        if _identity(caches[alias]) == _identity(cache):
            return alias
    raise LookupError(f"{cache!r} is none of the project's CACHES.")


def is_redis(alias: str) -> bool:
    """Whether this cache is one of django-redis, so that its server can be asked in one script call."""
    try:
        return isinstance(caches[alias], RedisCache)
    except InvalidCacheBackendError:
        return False


def redis_alias_of(cache: Any) -> str | None:
    """The alias of a cache that :func:`is_redis`; None for any other cache. Raises ``LookupError``."""
    redis = caches[str(cache._alias)] if isinstance(cache, ConnectionProxy) else cache
    return alias_of(cache) if isinstance(redis, RedisCache) else None


def not_redis(alias: str) -> str:
    """What is wrong with an alias that is not :func:`is_redis`."""
    backend = settings.CACHES[alias].get("BACKEND")
    return f"the cache {alias!r} is {backend}, in which no request can be counted atomically."


def _identity(cache: Any) -> tuple[Any, ...]:
    """Each thread has an object of its own for each alias, with the same place and prefix."""
    return type(cache), getattr(cache, "_server", None), cache.key_prefix, cache.version
