"""What was left pending on a Cluster is resolved here too, so that it does not wait for the next check."""

from limits.conf import setting
from limits.store.cluster_client import ClusterClient
from limits.store.connection import PATIENCE, hot_connections, patient_client
from limits.store.keys import Keys
from limits.store.pending import PendingEntries
from limits.store.resolver import Resolver


def resolve_pending() -> int:
    """Refunds or confirms what is overdue. Returns how many entries; on a single server there are none.
    Raises :class:`~limits.store.errors.StoreUnavailable` where no node of the Cluster answers."""
    redis, keys = patient_client(), Keys(setting("NAMESPACE"))
    if not isinstance(redis, ClusterClient):
        return 0
    pending = PendingEntries(hot_connections(), keys, setting("COUNTS_PER_BUCKET"))
    return Resolver(pending).resolve_all(redis, keys, PATIENCE)
