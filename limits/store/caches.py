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


def _identity(cache: Any) -> tuple[Any, ...]:
    """Each thread has an object of its own for each alias, with the same place and prefix."""
    return type(cache), getattr(cache, "_server", None), cache.key_prefix, cache.version
