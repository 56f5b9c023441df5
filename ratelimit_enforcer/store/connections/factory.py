"""Finds the store that the settings name, and makes this process's connections to it.

A store is named by a URL, or by an alias of ``CACHES``. Also finds the alias of a throttle class's cache,
and whether a cache is in Redis.
"""

from typing import Any

from django.conf import settings
from django.core.cache import InvalidCacheBackendError, caches
from django.core.exceptions import ImproperlyConfigured
from django.utils.connection import ConnectionProxy
from django_redis import get_redis_connection
from django_redis.cache import RedisCache
from redis import Redis
from redis.sentinel import SentinelConnectionPool

from ratelimit_enforcer.conf import once_per_store, setting
from ratelimit_enforcer.store.connections.cluster import ClusterConnections
from ratelimit_enforcer.store.connections.redis_url import Kind, Location, is_multi_node, options_of, parse
from ratelimit_enforcer.store.connections.sentinels import SentinelConnections
from ratelimit_enforcer.store.connections.server import ServerConnections, StoreConnections
from ratelimit_enforcer.store.keys import Keys


def store_connections(location: str | None = None) -> StoreConnections:
    """This process's connections to ``location`` (a URL or an alias), by default to
    ``RATELIMIT_PLATFORM["REDIS"]``. Raises ``ImproperlyConfigured``."""
    return _store_connections(location or setting("REDIS"), setting("MAX_CONNECTIONS"), setting("NAMESPACE"))


@once_per_store
def _store_connections(name: str, size: int, namespace: str) -> StoreConnections:
    return store_connections_of(location_of(name), size, Keys(namespace))


def store_connections_of(location: Location, size: int, keys: Keys) -> StoreConnections:
    """Connections to a store, at most ``size`` to each of its masters."""
    if location.kind is Kind.CLUSTER:
        return ClusterConnections(location, size, keys)
    if location.kind is Kind.SENTINEL:
        return SentinelConnections(location, size, probe_key=keys.probe)
    return ServerConnections(location.connection, size, probe_key=keys.probe)


def location_of(name: str) -> Location:
    """The store behind a URL or an alias of ``CACHES``. Raises ``ImproperlyConfigured``."""
    if name in settings.CACHES:
        return _location_of_cache(name)
    if "://" not in name:
        raise ImproperlyConfigured("RATELIMIT_PLATFORM['REDIS'] is neither a URL nor an alias of CACHES.")
    return parse(name)


def _location_of_cache(alias: str) -> Location:
    place = settings.CACHES[alias].get("LOCATION", "")
    url = place if isinstance(place, str) else ",".join(place)
    if is_multi_node(url):
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
    """The store of a pool that a project configured with django-redis' own Sentinel options."""
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


def alias_of(cache: Any) -> str:
    """The alias in ``CACHES`` of a cache object, from any thread. Raises ``LookupError``."""
    if isinstance(cache, ConnectionProxy):
        return str(cache._alias)
    for alias in settings.CACHES:
        if _identity(caches[alias]) == _identity(cache):
            return alias
    raise LookupError(f"{cache!r} is not in the project's CACHES.")


def is_redis(alias: str) -> bool:
    """Whether this cache is one of django-redis, so that scripts can be run on its server."""
    try:
        return isinstance(caches[alias], RedisCache)
    except InvalidCacheBackendError:
        return False


def redis_alias_of(cache: Any) -> str | None:
    """The alias of a cache in Redis (:func:`is_redis`); None for any other cache. Raises ``LookupError``."""
    redis = caches[str(cache._alias)] if isinstance(cache, ConnectionProxy) else cache
    return alias_of(cache) if isinstance(redis, RedisCache) else None


def not_redis(alias: str) -> str:
    """The error message for an alias that is not :func:`is_redis`."""
    backend = settings.CACHES[alias].get("BACKEND")
    return f"the cache {alias!r} is {backend}, which cannot count requests atomically."


def _identity(cache: Any) -> tuple[Any, ...]:
    """Each thread has its own object for an alias, with the same server, prefix and version."""
    return type(cache), getattr(cache, "_server", None), cache.key_prefix, cache.version
