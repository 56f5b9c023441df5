"""The record of one fault: every request with its answer, every publication, and the time of the fault."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """One check. Times are seconds of the monotonic clock; ``status`` is None if no answer came.

    ``version`` is that of the ruleset by which it was decided.
    """

    start: float
    end: float
    server: int
    client: str
    endpoint: str
    status: int | None
    allowed: bool = False
    degraded: bool = False
    version: int = 0

    @property
    def is_answered(self) -> bool:
        return self.status is not None

    @property
    def may_have_consumed(self) -> bool:
        """Whether the shared counter may contain it: the script may have run even if its caller timed out."""
        return self.allowed or self.degraded or not self.is_answered


@dataclass(frozen=True, slots=True)
class Announcement:
    """The report that a version is live, at the time ``at``."""

    at: float
    version: int


@dataclass(slots=True)
class History:
    """The history of one fault. ``broken``: the time of the injection; ``mended``: the time of the repair,
    by the test or by the store itself."""

    requests: list[Request] = field(default_factory=list)
    announcements: list[Announcement] = field(default_factory=list)
    broken: float = 0.0
    mended: float = 0.0

    def of(self, endpoint: str) -> Iterator[Request]:
        return (request for request in self.requests if request.endpoint == endpoint)

    def by_counter(self, endpoint: str) -> dict[str, list[Request]]:
        """Client → its requests to this endpoint, which share one counter."""
        counters: dict[str, list[Request]] = {}
        for request in self.of(endpoint):
            counters.setdefault(request.client, []).append(request)
        return counters


def answered(requests: Iterable[Request]) -> list[Request]:
    return [request for request in requests if request.is_answered]
