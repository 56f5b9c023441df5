"""Connections to Redis, whatever it is made of.

The config plane uses an ordinary client that waits longer. The data plane has connections of its
own, under the deadline of a check. Neither ever sends a command a second time.
"""

from redis import ConnectionPool, Redis

from limits.conf import setting
from limits.once import once
from limits.store.addresses import Kind, Location, location_of
from limits.store.cluster import ClusterConnections
from limits.store.cluster_client import ClusterClient, PatientClient
from limits.store.hot import HotConnections, ServerConnections
from limits.store.keys import Keys
from limits.store.sentinels import MasterPool, SentinelConnections

__all__ = ["PATIENCE", "HotConnections", "ServerConnections", "hot_connections", "patient_client"]

PATIENCE = 2.0
"""Seconds that the config plane waits for Redis."""


def patient_client() -> PatientClient:
    """The config plane's client of this process; it answers in bytes. On a Cluster it does what
    :class:`ClusterClient` says."""
    return _patient_client(setting("REDIS"))


@once
def _patient_client(name: str) -> PatientClient:
    return patient_client_of(location_of(name))


def patient_client_of(location: Location, patience: float = PATIENCE) -> PatientClient:
    """A client of a store, which waits so many seconds for each answer."""
    timeouts = {"socket_timeout": patience, "socket_connect_timeout": patience}
    if location.kind is Kind.CLUSTER:
        return ClusterClient(location, patience)
    if location.kind is Kind.SENTINEL:
        return Redis(connection_pool=MasterPool(location, **timeouts))
    return Redis(connection_pool=ConnectionPool(location.connection_class, **{**location.options, **timeouts}))


def hot_connections(location: str | None = None) -> HotConnections:
    """The data plane's connections of this process, to ``RATELIMIT_PLATFORM["REDIS"]`` where no
    other ``location`` of that kind is named."""
    return _hot_connections(location or setting("REDIS"), setting("MAX_CONNECTIONS"), setting("NAMESPACE"))


@once
def _hot_connections(name: str, size: int, namespace: str) -> HotConnections:
    return hot_connections_of(location_of(name), size, Keys(namespace))


def hot_connections_of(location: Location, size: int, keys: Keys) -> HotConnections:
    """Connections to a store, at most ``size`` to each of its masters."""
    if location.kind is Kind.CLUSTER:
        return ClusterConnections(location, size, keys)
    if location.kind is Kind.SENTINEL:
        return SentinelConnections(location, size, probe_key=keys.probe)
    return ServerConnections(location.connection, size, probe_key=keys.probe)
