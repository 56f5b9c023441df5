"""One deadline for everything that one check does."""

import time

from limits.store.errors import StoreUnavailable


class Deadline:
    """A moment by which an answer must be there."""

    __slots__ = ("_end",)

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, above zero. Raises :class:`StoreUnavailable` when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise StoreUnavailable("No answer within the deadline.")
        return left

    def part(self, parts: int) -> "Deadline":
        """A deadline after the first of so many equal parts of what remains."""
        return Deadline(self.remaining() / parts)
