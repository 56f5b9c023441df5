"""Support for Sentinel and Cluster URLs in django-redis' ``CACHES``.

CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": ["redis+sentinel://10.0.0.1:26379,10.0.0.2:26379/mymaster/0"],
        "OPTIONS": {"CONNECTION_FACTORY": "ratelimit_enforcer.caching.ConnectionFactory"},
    }
}

``LOCATION`` is a list of one URL, because django-redis splits a string at its commas.
"""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django_redis import pool
from redis import Redis, RedisCluster
from redis.cluster import ClusterNode
from redis.connection import SSLConnection

from ratelimit_enforcer.per_process import once
from ratelimit_enforcer.store.connections.redis_url import Kind, is_multi_node, parse
from ratelimit_enforcer.store.connections.sentinels import MasterPool

TIMEOUT = 2.0
"""Socket timeout of the cache in seconds, unless its options set another."""


class CacheCluster(RedisCluster):
    """redis-py's client, which reads many keys from many masters without atomicity; a cache needs none."""

    def mget(self, keys: Any, *args: Any) -> Any:
        """The values of the keys, in order, read with one command for each master; None: no such key."""
        return self.mget_nonatomic(keys, *args)


class ConnectionFactory(pool.ConnectionFactory):
    """django-redis' own factory, extended by ``redis+sentinel://`` and ``redis+cluster://``."""

    def connect(self, url: str) -> Any:
        """A redis-py client for this URL. Raises ``ImproperlyConfigured`` if the URL is not understood."""
        if "://" not in url:
            raise ImproperlyConfigured("CACHES: write LOCATION as a list with one URL; a string is split at commas.")
        if not is_multi_node(url):
            return self._connect_single(url)
        timeouts = (self.options.get("SOCKET_TIMEOUT", TIMEOUT), self.options.get("SOCKET_CONNECT_TIMEOUT", TIMEOUT))
        return _client(url, *timeouts)

    def _connect_single(self, url: str) -> Any:
        try:
            return super().connect(url)
        except ValueError:
            # redis-py's message may quote a piece of a password.
            raise ImproperlyConfigured("CACHES: the URL in LOCATION is invalid.") from None


@once
def _client(url: str, socket_timeout: float, socket_connect_timeout: float) -> Any:
    location = parse(url)
    timeouts = {"socket_timeout": socket_timeout, "socket_connect_timeout": socket_connect_timeout}
    if location.kind is Kind.SENTINEL:
        return Redis(connection_pool=MasterPool(location, **timeouts))
    nodes = [ClusterNode(host, port) for host, port in location.nodes]
    options = {name: value for name, value in location.options.items() if name != "retry"}
    ssl = issubclass(location.connection_class, SSLConnection)
    return CacheCluster(startup_nodes=nodes, ssl=ssl, **{**options, **timeouts})
