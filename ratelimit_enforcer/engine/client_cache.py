"""The client records that a process has."""

import threading
from collections import OrderedDict

from ratelimit_enforcer.domain.client import MAX_LEVELS, ClientRecord
from ratelimit_enforcer.per_process import renew_after_fork


class ClientCache:
    """The most recently used client records, at most ``size`` of them, for one epoch."""

    def __init__(self, epoch: str, size: int) -> None:
        self.epoch = epoch
        # A client is decided with all its ancestors.
        self._size = max(size, MAX_LEVELS)
        renew_after_fork(self)

    def renew(self) -> None:
        # A fork may happen in the middle of a change: the records are not trusted but read again.
        self._lock = threading.Lock()
        self._records: OrderedDict[str, ClientRecord] = OrderedDict()

    def get(self, key: str) -> ClientRecord | None:
        """The cached record of the client with this key; None if there is none."""
        with self._lock:
            record = self._records.get(key)
            if record is not None:
                self._records.move_to_end(key)
            return record

    def ancestors_of(self, record: ClientRecord) -> tuple[ClientRecord, ...] | None:
        """The cached records of a client's ancestors, from the parent up; None if they are not all cached."""
        ancestors: list[ClientRecord] = []
        with self._lock:
            while record.root is None and record.parent is not None and len(ancestors) < MAX_LEVELS - 1:
                ancestor = self._records.get(record.parent)
                if ancestor is None or not ancestor.is_registered:
                    return None
                self._records.move_to_end(record.parent)
                ancestors.append(ancestor)
                record = ancestor
        return None if record.is_below else tuple(ancestors)

    def root_of(self, key: str) -> str:
        """The key of the client's root, as far as it is known; else the client's key."""
        record = self.get(key)
        if record is None or not record.is_below:
            return key
        ancestors = self.ancestors_of(record)
        return ancestors[-1].key if ancestors else record.root or key

    def records_of(self, key: str) -> tuple[ClientRecord, ...]:
        """The records of a client and its ancestors, as far as they are cached, from the client up."""
        record = self.get(key) or ClientRecord(key)
        return (record, *(self.ancestors_of(record) or ()))

    def remove(self, key: str) -> None:
        """Removes the record of the client with this key, if it is cached."""
        with self._lock:
            self._records.pop(key, None)

    def put(self, record: ClientRecord) -> None:
        """Adds or replaces a record; beyond ``size`` records, the least recently used one is dropped."""
        with self._lock:
            self._records[record.key] = record
            self._records.move_to_end(record.key)
            while len(self._records) > self._size:
                self._records.popitem(last=False)
