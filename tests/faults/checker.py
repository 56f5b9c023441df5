"""Goes over a history and says what was broken of what the platform promises.

Only what is certain counts: a request was decided at some moment between its start and its end, so
a window is over its quota only if that holds whichever moment it was, and a denial was wrong only
if there was capacity whichever of the requests around it had been decided before.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate

from tests.faults.history import History, Request

LATE = 1 / 64
"""Part of a window by which capacity of a busy sliding window may come back late."""


def over_admitted(history: History, endpoint: str, quota: int, window: float) -> int:
    """By how much the fullest window of a client was above the quota; 0: none was."""
    fullest = (_fullest_window(requests, window) for requests in history.by_counter(endpoint).values())
    return max(0, max(fullest, default=0) - quota)


def _fullest_window(requests: Sequence[Request], window: float) -> int:
    """The most admitted requests that lie, start and end, within one window."""
    admitted = sorted((request for request in requests if request.allowed), key=lambda request: request.start)
    fullest = 0
    for position, first in enumerate(admitted):
        ends = first.start + window
        inside = sum(request.end <= ends for request in _until(admitted, position, ends))
        fullest = max(fullest, inside)
    return fullest


def _until(admitted: Sequence[Request], position: int, moment: float) -> Sequence[Request]:
    last = bisect_right(admitted, moment, lo=position, key=lambda request: request.start)
    return admitted[position:last]


def wrongly_denied(history: History, endpoint: str, quota: int, window: float) -> list[Request]:
    """Requests that a shared counter denied although it had capacity. Those of the history's first
    window are left out: what was before them is not known."""
    return [
        denied
        for requests in history.by_counter(endpoint).values()
        for denied in _wrongly_denied(requests, history.mended, quota, window)
    ]


def _wrongly_denied(requests: Sequence[Request], mended: float, quota: int, window: float) -> list[Request]:
    begin = min(request.start for request in requests) + window * (1 + LATE)
    denied = (request for request in requests if request.status == 429 and not request.degraded)
    return [each for each in denied if each.start > begin and _used_before(each, requests, mended, window) < quota]


def _used_before(denied: Request, requests: Sequence[Request], mended: float, window: float) -> int:
    """The most that the counter can have contained when it denied this request."""
    since = denied.start - window * (1 + LATE)
    return sum(
        each.may_have_consumed and _ran_by(each, mended) >= since and each.start <= denied.end for each in requests
    )


def _ran_by(request: Request, mended: float) -> float:
    """The latest moment at which the script of this request can have run. A server that was stopped, or a link that
    was slow, carries out what callers have given up when the fault ends."""
    return request.end if request.allowed or request.start > mended else max(request.end, mended)


def stale(history: History, grace: float) -> list[Request]:
    """Requests that began after a version had been reported as live, and were decided by an older
    one. Degraded ones are exempt, and so are those that began between the fault and ``grace``
    seconds after it was mended."""
    announced = sorted(history.announcements, key=lambda each: each.at)
    moments = [each.at for each in announced]
    newest = list(accumulate((each.version for each in announced), max))

    def is_stale(request: Request) -> bool:
        before = bisect_left(moments, request.start)
        return before > 0 and request.version < newest[before - 1]

    judged = (request for request in history.requests if request.is_answered and not request.degraded)
    return [each for each in judged if is_stale(each) and not history.broken <= each.start <= history.mended + grace]


def stale_for(history: History) -> float:
    """Seconds from the mending to the start of the last request that was decided by old rules."""
    return max((request.start - history.mended for request in stale(history, 0.0)), default=0.0)


def failures(history: History, may_refuse: Sequence[str]) -> Counter[tuple[str, int | None]]:
    """Answers that nobody may get: (endpoint, status) → how many. 503 is an answer of the endpoints
    ``may_refuse`` while degraded, and of no other."""
    wrong: Counter[tuple[str, int | None]] = Counter()
    for request in history.requests:
        refused = request.status == 503 and request.degraded and request.endpoint in may_refuse
        if request.status not in (200, 429) and not refused:
            wrong[request.endpoint, request.status] += 1
    return wrong


def back_after(history: History) -> float:
    """Seconds from the mending to the last degraded answer; 0: none came after it."""
    degraded = [request.end for request in history.requests if request.degraded]
    return max(0.0, max(degraded, default=0.0) - history.mended)


def degraded_phases(history: History, endpoint: str) -> int:
    """How often the servers went over to degraded answers for one client, all servers together, for
    the client with the most."""
    phases: Counter[str] = Counter()
    before: dict[tuple[int, str], bool] = {}
    for request in sorted(history.of(endpoint), key=lambda request: request.end):
        if request.is_answered:
            place = request.server, request.client
            phases[request.client] += request.degraded and not before.get(place, False)
            before[place] = request.degraded
    return max(phases.values(), default=0)


def miscounted(history: History, counted: Mapping[str, int]) -> dict[str, tuple[int, int, int]]:
    """Clients whose counted requests are not between the answers of the shared counters and all
    requests: (least, counted, most)."""
    least, most = Counter[str](), Counter[str]()
    for request in history.requests:
        most[request.client] += 1
        least[request.client] += request.is_answered and not request.degraded
    bounds = {client: (least[client], counted.get(client, 0), most[client]) for client in most}
    return {client: (low, found, high) for client, (low, found, high) in bounds.items() if not low <= found <= high}
