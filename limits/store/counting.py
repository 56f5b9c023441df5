"""Usage counts of requests that were not counted in the call that decided them."""

from collections.abc import Iterable

from limits.domain.counting import Count
from limits.store import damage, scripts
from limits.store.buckets import bucket_of
from limits.store.deadline import Deadline
from limits.store.errors import StoreDataError
from limits.store.hot import HotConnections
from limits.store.keys import Keys, client_field


class Counting:
    """Adds to the usage counts, on the data plane's connections."""

    def __init__(self, connections: HotConnections, keys: Keys, counts_per_bucket: int) -> None:
        self._connections = connections
        self._keys = keys
        self._counts_per_bucket = counts_per_bucket
        self._script = scripts.load("count")

    def count(
        self, client: str, endpoint: str | None, counts: Iterable[Count], deadline: Deadline, minute: int | None = None
    ) -> None:
        """Adds counts of one client on one endpoint (None: one that nobody registered), in a minute
        since 1970 (None: the store's present one). Raises :class:`~limits.store.errors.StoreUnavailable`,
        and :class:`~limits.store.errors.StoreDataError` where nothing can be counted until the drain has
        set the damaged counts aside."""
        bucket = bucket_of(client)
        keys = self._keys.of_request[bucket]
        head = ("" if minute is None else minute, client_field(client), self._counts_per_bucket, endpoint or "", client)
        flat = [field for count in counts for field in count]
        if self._script.run(self._connections, keys, (*head, *flat), deadline) is not None:
            damage.note(damage.COUNTS)
            raise StoreDataError(damage.COUNTS, "The usage counts of a bucket are damaged.")
