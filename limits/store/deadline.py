"""One deadline for everything that one check does."""

import time

from limits.store.errors import DeadlinePassed

LAST_PART = 0.1
"""The part of its time that the store still gets where the process itself used up all of it."""


class Deadline:
    """A moment by which an answer must be there: so many ``seconds`` from now.

    It is for waiting on the store. Where the process did not come to wait in time (other threads, the
    garbage collector, a batch to prepare), it waits once for a tenth of the time after all.
    """

    __slots__ = ("_end", "_last", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._last = seconds * LAST_PART

    def remaining(self) -> float:
        """Seconds left, above zero. Raises :class:`DeadlinePassed` when there are none."""
        left = self._end - time.monotonic()
        if left > 0:
            return left
        left, self._last = self._last, 0.0
        if left <= 0:
            raise DeadlinePassed("No answer within the deadline.")
        self._end = time.monotonic() + left
        return left

    def left(self) -> float:
        """Seconds left; zero when there are none."""
        return max(self._end - time.monotonic(), 0.0)

    def part(self, parts: int) -> "Deadline":
        """A deadline after the first of so many equal parts of what remains."""
        return Deadline(self.remaining() / parts)
