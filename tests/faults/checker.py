"""Checks a history for violations of the platform's guarantees.

Only certain violations count. A request was decided at an unknown time between its start and its end, so
a window exceeds its quota only if it does for all possible times, and a denial is wrong only if there was
capacity in every possible order of the concurrent requests.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate

from tests.faults.history import History, Request

LATE = 1 / 64
"""Part of the window by which requests may expire late from a busy sliding window."""


def over_admitted(history: History, endpoint: str, quota: int, window: float) -> int:
    """By how much the fullest window of any client exceeded the quota; 0 if none did."""
    fullest = (_fullest_window(requests, window) for requests in history.by_counter(endpoint).values())
    return max(0, max(fullest, default=0) - quota)


def _fullest_window(requests: Sequence[Request], window: float) -> int:
    """The maximum number of admitted requests whose start and end are within one window."""
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
    """Requests that a shared counter denied although it had capacity, except those in the first window
    of the history, because the requests before them are unknown."""
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
    """The maximum usage that the counter can have had when it denied this request."""
    since = denied.start - window * (1 + LATE)
    return sum(
        each.may_have_consumed and _ran_by(each, mended) >= since and each.start <= denied.end for each in requests
    )


def _ran_by(request: Request, mended: float) -> float:
    """The latest time at which the script of this request can have run. After the fault, a stopped server or a slow
    link still runs commands whose callers have timed out."""
    return request.end if request.allowed or request.start > mended else max(request.end, mended)


def stale(history: History, grace: float) -> list[Request]:
    """Requests that began after a version had been reported as live, and were decided by an older
    one; without degraded answers, and without requests that began between the fault and ``grace``
    seconds after its repair."""
    announced = sorted(history.announcements, key=lambda each: each.at)
    moments = [each.at for each in announced]
    newest = list(accumulate((each.version for each in announced), max))

    def is_stale(request: Request) -> bool:
        before = bisect_left(moments, request.start)
        return before > 0 and request.version < newest[before - 1]

    judged = (request for request in history.requests if request.is_answered and not request.degraded)
    return [each for each in judged if is_stale(each) and not history.broken <= each.start <= history.mended + grace]


def stale_for(history: History) -> float:
    """Seconds from the repair to the start of the last request decided by old rules."""
    return max((request.start - history.mended for request in stale(history, 0.0)), default=0.0)


def failures(history: History, may_refuse: Sequence[str]) -> Counter[tuple[str, int | None]]:
    """Forbidden answers: (endpoint, status) → count. 503 is permitted only for degraded answers of the
    endpoints ``may_refuse``."""
    wrong: Counter[tuple[str, int | None]] = Counter()
    for request in history.requests:
        refused = request.status == 503 and request.degraded and request.endpoint in may_refuse
        if request.status not in (200, 429) and not refused:
            wrong[request.endpoint, request.status] += 1
    return wrong


def back_after(history: History) -> float:
    """Seconds from the repair to the last degraded answer; 0 if none came after it."""
    degraded = [request.end for request in history.requests if request.degraded]
    return max(0.0, max(degraded, default=0.0) - history.mended)


def degraded_phases(history: History, endpoint: str) -> int:
    """How often servers changed to degraded answers for one client, summed over the servers; the maximum
    over the clients."""
    phases: Counter[str] = Counter()
    before: dict[tuple[int, str], bool] = {}
    for request in sorted(history.of(endpoint), key=lambda request: request.end):
        if request.is_answered:
            place = request.server, request.client
            phases[request.client] += request.degraded and not before.get(place, False)
            before[place] = request.degraded
    return max(phases.values(), default=0)


def miscounted(history: History, counted: Mapping[str, int]) -> dict[str, tuple[int, int, int]]:
    """Clients whose count is less than the number of their answers from the shared counters, or more than
    the number of all their requests: client → (least, counted, most)."""
    least, most = Counter[str](), Counter[str]()
    for request in history.requests:
        most[request.client] += 1
        least[request.client] += request.is_answered and not request.degraded
    bounds = {client: (least[client], counted.get(client, 0), most[client]) for client in most}
    return {client: (low, found, high) for client, (low, found, high) in bounds.items() if not low <= found <= high}
