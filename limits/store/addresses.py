"""Where the store is: a URL, or an alias of ``CACHES``."""

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django_redis import get_redis_connection
from redis import Redis
from redis.sentinel import SentinelConnectionPool

from limits.store.caches import not_redis
from limits.store.redis_url import Address, Kind, Location, is_of_several, options_of, parse

__all__ = ["Address", "Kind", "Location", "is_of_several", "location_of", "parse"]


def location_of(name: str) -> Location:
    """The store of a URL or of an alias of ``CACHES``. Raises ``ImproperlyConfigured``."""
    if name in settings.CACHES:
        return _location_of_cache(name)
    if "://" not in name:
        raise ImproperlyConfigured("RATELIMIT_PLATFORM['REDIS'] is neither a URL nor an alias of CACHES.")
    return parse(name)


def _location_of_cache(alias: str) -> Location:
    place = settings.CACHES[alias].get("LOCATION", "")
    url = place if isinstance(place, str) else ",".join(place)
    if is_of_several(url):
        return parse(url)
    pool = _client_of_cache(alias).connection_pool
    if isinstance(pool, SentinelConnectionPool):
        return _location_of_sentinel_pool(pool)
    return Location(Kind.SINGLE, pool.connection_class, options_of(pool, keep=("host", "port")))


def _client_of_cache(alias: str) -> Redis:
    try:
        return get_redis_connection(alias)
    except NotImplementedError as error:
        hint = 'In tests: RATELIMIT_PLATFORM = {"ENABLED": False}.'
        raise ImproperlyConfigured(f"RATELIMIT_PLATFORM['REDIS']: {not_redis(alias)} {hint}") from error


def _location_of_sentinel_pool(pool: SentinelConnectionPool) -> Location:
    """For a project that uses django-redis' own way to name Sentinels."""
    pools = [sentinel.connection_pool for sentinel in pool.sentinel_manager.sentinels]
    nodes = tuple((each.connection_kwargs["host"], each.connection_kwargs["port"]) for each in pools)
    return Location(
        Kind.SENTINEL,
        pools[0].connection_class,
        options_of(pool),
        nodes,
        pool.service_name,
        options_of(pools[0]),
    )
