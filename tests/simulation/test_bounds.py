"""The bounds hold for requests whose times are known: replayed through the reference model of a check."""

from collections.abc import Sequence
from fractions import Fraction
from random import Random

import pytest

from limits.simulation.bounds import Block, Count, Upper, blocks_of, upper_of
from ratelimit_enforcer.domain.counters import Counters
from ratelimit_enforcer.domain.enums import Algorithm, Period
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from tests.support.deciding import policy
from tests.support.minute_bounds import least_of, most_by_minute
from tests.support.recorded_requests import MINUTE_US, START, by_minute, random_limit, random_times

CASES = 200


def denied(times: Sequence[int], limits: Sequence[Limit]) -> int:
    """The requests that these limits, each of a policy of its own, really deny."""
    counters = Counters()
    policies = [policy(f"p{at}", limit) for at, limit in enumerate(limits)]
    answers = [counters.check(policies, 1, at, name=number)[0] for number, at in enumerate(times)]
    return answers.count(False)


def bounds(times: Sequence[int], limits: Sequence[Limit]) -> tuple[int, int]:
    counts = by_minute(times)
    uppers = [most_by_minute(counts, limit) for limit in limits]
    most = sum(min(n, sum(upper[minute] for upper in uppers)) for minute, n in counts.items())
    return max(least_of(counts, limit) for limit in limits), most


@pytest.mark.parametrize("several", [False, True])
def test_the_true_number_is_within_the_bounds(several: bool) -> None:
    random = Random(23)
    widths, sizes = 0, 0
    for case in range(CASES):
        times = random_times(random, random.choice([3, 12, 70]))
        limits = [random_limit(random, concurrency=True) for _ in range(random.randint(2, 3) if several else 1)]
        least, most = bounds(times, limits)
        assert least <= denied(times, limits) <= most, f"case {case}: {limits}"
        widths, sizes = widths + most - least, sizes + len(times)
    print(f"mean width of the bounds: {widths / sizes:.1%} of the requests")


@pytest.mark.parametrize(
    "limit",
    [
        Limit(40, 60, Algorithm.FIXED_WINDOW),
        Limit(90, 300, Algorithm.FIXED_WINDOW),
        Limit(200, algorithm=Algorithm.CALENDAR, period=Period.HOUR),
        Limit(0, 60),
    ],
)
def test_windows_that_begin_with_a_minute_and_a_quota_of_0_are_exact(limit: Limit) -> None:
    random = Random(5)
    for _ in range(50):
        times = random_times(random, 12)
        least, most = bounds(times, [limit])
        assert least == denied(times, [limit]) == most


def test_counts_by_minute_do_not_show_whether_a_sliding_window_denied() -> None:
    limit = Limit(100, 60)
    apart = [START] * 60 + [START + MINUTE_US] * 60
    together = [START + MINUTE_US - 1] * 60 + [START + MINUTE_US] * 60
    assert by_minute(apart) == by_minute(together)
    assert (denied(apart, [limit]), denied(together, [limit])) == (0, 20)
    assert bounds(apart, [limit]) == (0, 20)


def test_a_merged_run_counts_requests_of_the_minute_before() -> None:
    """A cell of three minutes is 2.8 s long, and contains the edge of a minute."""
    limit, cell = Limit(100, 180), 180 * SECOND_US // 64
    edge = next(at for at in range(START, START + 9 * MINUTE_US, MINUTE_US) if SECOND_US < at % cell < 2 * SECOND_US)
    exact = [edge - 3 * SECOND_US + each for each in range(64)]
    merged = [edge - 300_000 + each * 20_000 for each in range(36)]
    times = [*exact, *merged, *[edge + limit.window_us + 200_000] * 100]
    least, most = bounds(times, [limit])
    counted_within_three_minutes = sum(at >= edge for at in times)
    assert least <= denied(times, [limit]) == 36 <= most
    assert counted_within_three_minutes - limit.quota < 36


@pytest.mark.parametrize(
    ("limit", "upper", "blocks"),
    [
        (Limit(10, 60), Upper(Count.BEFORE, 10, 1), (Block(1, 10),)),
        (Limit(10, 90), Upper(Count.BEFORE, 10, 2), (Block(1, 10),)),
        (Limit(64, 180), Upper(Count.BEFORE, 64, 3), (Block(3, 64),)),
        (Limit(65, 180), Upper(Count.BEFORE, 65, 4), (Block(3, 65),)),
        (Limit(65, 120), Upper(Count.BEFORE, 65, 2), (Block(2, 65),)),
        (Limit(10, 7), Upper(Count.BEFORE, 10, 1), (Block(1, 90),)),
        (Limit(10, 120, Algorithm.FIXED_WINDOW), Upper(Count.PERIOD, 10, 2), ()),
        (Limit(10, 20, Algorithm.FIXED_WINDOW), Upper(Count.BEFORE, 10, 0), (Block(1, 30, aligned=True),)),
        (Limit(10, 90, Algorithm.FIXED_WINDOW), Upper(Count.BEFORE, 10, 2), (Block(3, 20, aligned=True),)),
        (Limit(10, 90, Algorithm.CONCURRENCY), Upper(Count.BEFORE, 10, 2), ()),
        (
            Limit(60, 60, Algorithm.TOKEN_BUCKET, 180),
            Upper(Count.BUCKET, 180, refill=Fraction(60)),
            (Block(1, 240), Block(3, 360)),
        ),
    ],
)
def test_bounds_of_a_limit(limit: Limit, upper: Upper, blocks: tuple[Block, ...]) -> None:
    assert upper_of(limit) == upper
    assert blocks_of(limit) == blocks
