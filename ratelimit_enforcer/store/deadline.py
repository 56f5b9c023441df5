"""One deadline for everything that one check does."""

import time

from ratelimit_enforcer.store.errors import DeadlinePassed

GRACE = 0.1
"""The fraction of the deadline that is granted to the store if the process itself used up all of it."""


class Deadline:
    """The moment by which an answer must have arrived: ``seconds`` from now.

    It limits the wait for the store. If the process itself used up the time (other threads, the garbage
    collector, preparing a batch), it still waits once, for a tenth of the time.
    """

    __slots__ = ("_end", "_grace", "is_shortened", "seconds")

    def __init__(self, seconds: float, usual: float | None = None) -> None:
        """``usual``: of a deadline that the caller shortened, the seconds that others wait."""
        self.is_shortened = usual is not None
        self.seconds = seconds if usual is None else usual
        """How long a server may take before it is considered unavailable."""
        self._end = time.monotonic() + seconds
        self._grace = seconds * GRACE

    def remaining(self) -> float:
        """Seconds left, above zero. Raises :class:`DeadlinePassed` if none are left."""
        left = self._end - time.monotonic()
        if left > 0:
            return left
        left, self._grace = self._grace, 0.0
        if left <= 0:
            raise DeadlinePassed("No response within the deadline.")
        self._end = time.monotonic() + left
        return left

    def seconds_left(self) -> float:
        """Seconds left; zero if none are."""
        return max(self._end - time.monotonic(), 0.0)

    def renewed(self) -> "Deadline":
        """The same deadline from now on, for another round trip; one that the caller shortened ends when it would have
        ended anyway."""
        return Deadline(self.seconds_left(), self.seconds) if self.is_shortened else Deadline(self.seconds)

    def fraction(self, parts: int) -> "Deadline":
        """A deadline for the first of ``parts`` equal parts of the remaining time."""
        return Deadline(self.remaining() / parts)
