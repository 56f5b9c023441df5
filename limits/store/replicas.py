"""Whether replicas have what was published: what no replica has is lost with its master."""

from redis import Redis

from limits.store.cluster_client import ClusterClient, PatientClient
from limits.store.keys import Keys

WAIT_MS = 500
"""Milliseconds that a publisher waits for a replica."""


def are_behind(redis: PatientClient, keys: Keys) -> bool:
    """Whether a master has replicas, and none of them has confirmed what was written so far.
    Raises redis-py's errors."""
    if isinstance(redis, ClusterClient):
        masters = {redis.client_of(probe): probe for probe in keys.probes}
        return any(_is_behind(master, probe) for master, probe in masters.items())
    return _is_behind(redis, keys.probe)


def _is_behind(master: Redis, probe: str) -> bool:
    if not int(master.info("replication")["connected_slaves"]):
        return False
    # WAIT is about what was written over its own connection; this write comes after all before it.
    pipeline = master.pipeline(transaction=False)
    pipeline.set(probe, 1, px=1000)
    pipeline.wait(1, WAIT_MS)
    return int(pipeline.execute()[1]) == 0
