"""The checker detects violations: each test has a history with one, or a similar one without."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from tests.faults.checker import (
    back_after,
    degraded_phases,
    failures,
    miscounted,
    over_admitted,
    stale,
    stale_for,
    wrongly_denied,
)
from tests.faults.history import Announcement, History, Request

QUOTA, WINDOW = 5, 1.0


def at(moment: float, *, allowed: bool = True, took: float = 0.01, **fields: object) -> Request:
    """A request of the client acme, decided by the shared counters."""
    status = 200 if allowed else 429
    request = Request(moment, moment + took, 0, "acme", "strict", status, allowed=allowed, version=1)
    return replace(request, **fields)  # type: ignore[arg-type]


def history(
    *requests: Request, announced: Iterable[tuple[float, int]] = (), broken: float = 0, mended: float = 0
) -> History:
    return History(list(requests), [Announcement(*each) for each in announced], broken, mended)


def full_window(begin: float = 10.0) -> list[Request]:
    return [at(begin + number * 0.1) for number in range(QUOTA)]


def test_a_full_window_is_no_violation() -> None:
    next_window = full_window(11.0 + 0.02)
    assert over_admitted(history(*full_window(), *next_window), "strict", QUOTA, WINDOW) == 0


def test_one_request_above_the_quota_is_detected() -> None:
    assert over_admitted(history(*full_window(), at(10.95)), "strict", QUOTA, WINDOW) == 1


def test_requests_above_the_quota_around_a_window_boundary_are_detected() -> None:
    late = [at(10.9 + number / 100) for number in range(QUOTA)]
    early = [at(11.0 + number / 100) for number in range(QUOTA)]
    assert over_admitted(history(*late, *early), "strict", QUOTA, WINDOW) == QUOTA


def test_requests_possibly_decided_outside_the_window_are_no_violation() -> None:
    slow = at(10.95, took=0.2)
    assert over_admitted(history(*full_window(), slow), "strict", QUOTA, WINDOW) == 0


def test_other_clients_and_endpoints_have_separate_counters() -> None:
    others = [at(10.5, client="bob"), at(10.5, endpoint="local")]
    assert over_admitted(history(*full_window(), *others), "strict", QUOTA, WINDOW) == 0


def some_before(moment: float, count: int) -> list[Request]:
    """A request in the history's first window, and ``count`` admitted ones in the last window before ``moment``."""
    return [at(moment - 3), *(at(moment - 0.9 + number * 0.1) for number in range(count))]


def test_a_denial_by_a_full_counter_is_no_violation() -> None:
    denied = at(20.0, allowed=False)
    assert wrongly_denied(history(*some_before(20.0, QUOTA), denied), "strict", QUOTA, WINDOW) == []


def test_a_denial_despite_remaining_capacity_is_detected() -> None:
    denied = at(20.0, allowed=False)
    assert wrongly_denied(history(*some_before(20.0, QUOTA - 1), denied), "strict", QUOTA, WINDOW) == [denied]


def test_requests_may_expire_a_64th_of_the_window_late() -> None:
    early = [at(17.0), at(18.985), *(at(19.1 + number * 0.1) for number in range(QUOTA - 1))]
    denied = at(20.0, allowed=False)
    assert wrongly_denied(history(*early, denied), "strict", QUOTA, WINDOW) == []
    later = at(20.1, allowed=False)
    assert wrongly_denied(history(*early, later), "strict", QUOTA, WINDOW) == [later]


@pytest.mark.parametrize(
    "unknown", [{"status": None, "allowed": False}, {"status": 503, "allowed": False, "degraded": True}]
)
def test_a_request_without_an_answer_may_have_consumed(unknown: dict[str, object]) -> None:
    denied = at(20.0, allowed=False)
    before = [*some_before(20.0, QUOTA - 1), at(19.7, **unknown)]
    assert wrongly_denied(history(*before, denied), "strict", QUOTA, WINDOW) == []


@pytest.mark.parametrize(("mended", "is_wrong"), [(19.5, False), (18.5, True)])
def test_a_timed_out_request_may_have_consumed_at_the_end_of_the_fault(mended: float, is_wrong: bool) -> None:
    given_up = at(18.0, status=503, allowed=False, degraded=True)
    denied = at(20.0, allowed=False)
    after = history(*some_before(20.0, QUOTA - 1), given_up, denied, mended=mended)
    assert wrongly_denied(after, "strict", QUOTA, WINDOW) == [denied] * is_wrong


def test_a_denial_without_the_store_is_not_one_by_the_shared_counter() -> None:
    denied = at(20.0, allowed=False, degraded=True)
    assert wrongly_denied(history(*some_before(20.0, 0), denied), "strict", QUOTA, WINDOW) == []


def test_older_rules_after_the_announcement_are_detected() -> None:
    old = at(10.5, version=1)
    told = history(at(10.0, version=1), old, at(10.6, version=2), announced=[(9.0, 1), (10.4, 2)])
    assert stale(told, grace=0) == [old]


def test_a_request_that_began_before_the_announcement_is_not_stale() -> None:
    told = history(at(10.3, took=0.5, version=1), announced=[(10.4, 2)])
    assert stale(told, grace=0) == []


def test_the_highest_announced_version_counts_even_if_an_older_one_is_announced_later() -> None:
    old = at(10.6, version=1)
    assert stale(history(old, announced=[(10.4, 2), (10.5, 1)]), grace=0) == [old]


def test_degraded_answers_may_use_old_rules() -> None:
    assert stale(history(at(10.5, version=1, degraded=True), announced=[(10.4, 2)]), grace=0) == []


def test_old_rules_are_permitted_only_from_the_fault_until_the_grace_period_ends() -> None:
    requests = [at(moment, version=1) for moment in (11.0, 12.5, 13.5)]
    told = history(*requests, announced=[(10.0, 2)], broken=10.5, mended=12.0)
    assert stale(told, grace=1.0) == [requests[2]]
    assert stale_for(told) == 1.5
    before = at(10.2, version=1)
    assert stale(history(before, announced=[(10.0, 2)], broken=10.5, mended=12.0), grace=1.0) == [before]


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "local", "status": 503, "degraded": True},
        {"status": 503, "degraded": False},
        {"status": 500},
        {"status": None},
    ],
)
def test_a_forbidden_answer_is_detected(wrong: dict[str, object]) -> None:
    refused = at(10.0, allowed=False, status=503, degraded=True)
    assert not failures(history(at(10.0), refused, at(10.1, allowed=False)), may_refuse=["strict"])
    assert failures(history(at(10.0, **{"allowed": False} | wrong)), may_refuse=["strict"]).total() == 1


def test_the_time_until_the_store_decides_again() -> None:
    told = history(at(10.0, degraded=True), at(12.0, degraded=True, took=0.5), at(13.0), mended=11.0)
    assert back_after(told) == 1.5
    assert back_after(history(at(10.0, degraded=True), mended=11.0)) == 0


def test_degraded_phases_are_counted_per_server() -> None:
    pattern = [False, True, True, False, True]
    requests = [at(10.0 + number, degraded=degraded) for number, degraded in enumerate(pattern)]
    other = [at(10.5, degraded=True, server=1), at(11.5, degraded=True, server=1)]
    assert degraded_phases(history(*requests, *other), "strict") == 3


@pytest.mark.parametrize(("counted", "wrong"), [(1, True), (2, False), (4, False), (5, True)])
def test_counts_outside_of_the_number_of_answers_and_requests_are_detected(counted: int, wrong: bool) -> None:
    told = history(at(1.0), at(2.0, allowed=False), at(3.0, degraded=True), at(4.0, status=None, allowed=False))
    assert miscounted(told, {"acme": counted}) == ({"acme": (2, counted, 4)} if wrong else {})
