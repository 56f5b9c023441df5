"""What happened: every request with its answer, every publication, and when the fault was there."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """One check. Times are seconds of one clock; ``status`` None: no answer ever came.

    ``version`` is that of the rules that it was decided by.
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
        """Whether the shared counter may hold it: a script that was given up may still have run."""
        return self.allowed or self.degraded or not self.is_answered


@dataclass(frozen=True, slots=True)
class Announcement:
    """At ``at``, this version had been reported as live."""

    at: float
    version: int


@dataclass(slots=True)
class History:
    """Of one fault. ``broken`` is when it was injected, ``mended`` when whatever was broken was
    mended: by hand, or by the store itself."""

    requests: list[Request] = field(default_factory=list)
    announcements: list[Announcement] = field(default_factory=list)
    broken: float = 0.0
    mended: float = 0.0

    def of(self, endpoint: str) -> Iterator[Request]:
        return (request for request in self.requests if request.endpoint == endpoint)

    def by_counter(self, endpoint: str) -> dict[str, list[Request]]:
        """Client → its requests to this endpoint: those share one counter."""
        counters: dict[str, list[Request]] = {}
        for request in self.of(endpoint):
            counters.setdefault(request.client, []).append(request)
        return counters


def answered(requests: Iterable[Request]) -> list[Request]:
    return [request for request in requests if request.is_answered]
