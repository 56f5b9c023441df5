"""The round trips of a batch."""

from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreUnavailable

MAX_ROUNDS = 50
"""How often one request of a batch may be repeated because of newer data."""


class Rounds:
    """The round trips of a batch, each with a deadline of its own."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._decided, self._repeated = 0, 0

    def next_deadline(self, decided: int) -> Deadline:
        """The deadline of the next round trip. ``decided``: how many requests have their decisions. Raises
        :class:`StoreUnavailable` if a request is repeated without end, because the store and this process disagree
        about data that does not change."""
        self._repeated = self._repeated + 1 if decided == self._decided else 0
        self._decided = decided
        if self._repeated > MAX_ROUNDS:
            raise StoreUnavailable("The store and this process disagree about the data of a client.")
        return self._deadline.renewed()
