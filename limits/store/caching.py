"""Sentinel and Cluster by URL for ``CACHES`` of django-redis.

CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": ["redis+sentinel://10.0.0.1:26379,10.0.0.2:26379/mymaster/0"],
        "OPTIONS": {"CONNECTION_FACTORY": "limits.store.caching.ConnectionFactory"},
    }
}

``LOCATION`` is a list of one URL: django-redis splits a string at its commas.
"""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django_redis import pool
from redis import Redis, RedisCluster
from redis.cluster import ClusterNode
from redis.connection import SSLConnection

from limits.once import once
from limits.store.addresses import Kind, is_of_several, parse
from limits.store.sentinels import MasterPool

PATIENCE = 2.0
"""Seconds that the cache waits for a server, unless its options say otherwise."""


class CacheCluster(RedisCluster):
    """redis-py's client, which reads many keys from many masters: a cache asks for no more."""

    def mget(self, keys: Any, *args: Any) -> Any:
        return self.mget_nonatomic(keys, *args)


class ConnectionFactory(pool.ConnectionFactory):
    """django-redis' own, which also takes ``redis+sentinel://`` and ``redis+cluster://``."""

    def connect(self, url: str) -> Any:
        """redis-py's client of a store."""
        if "://" not in url:
            raise ImproperlyConfigured("CACHES: write LOCATION as a list of one URL; a string is split at its commas.")
        if not is_of_several(url):
            return self._connect_single(url)
        timeouts = (self.options.get("SOCKET_TIMEOUT", PATIENCE), self.options.get("SOCKET_CONNECT_TIMEOUT", PATIENCE))
        return _client(url, *timeouts)

    def _connect_single(self, url: str) -> Any:
        try:
            return super().connect(url)
        except ValueError:
            # redis-py's message may quote a piece of a password.
            raise ImproperlyConfigured("CACHES: the URL in LOCATION is not understood.") from None


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
