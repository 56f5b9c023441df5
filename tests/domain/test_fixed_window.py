"""Fixed windows and calendar periods of the reference model, at their boundaries."""

import pytest

from ratelimit_enforcer.domain.decision import states_of
from ratelimit_enforcer.domain.enums import Algorithm, Period
from ratelimit_enforcer.domain.fixed_window import FixedWindow, admits, advance, consume, corrected, figures
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from tests.support.deciding import policy

MINUTE = Limit(2, 60, Algorithm.FIXED_WINDOW)
DAY = Limit(2, None, Algorithm.CALENDAR, period=Period.DAY, timezone="Europe/Berlin")
BEGINS = {MINUTE: 1_800_000_000 * SECOND_US, DAY: 1_800_054_000 * SECOND_US}
LENGTHS = {MINUTE: 60 * SECOND_US, DAY: 86_400 * SECOND_US}


@pytest.mark.parametrize("limit", [MINUTE, DAY], ids=str)
def test_the_usage_is_reset_exactly_at_the_boundary(limit: Limit) -> None:
    begins, length = BEGINS[limit], LENGTHS[limit]
    used = consume(advance(FixedWindow(), limit, begins), limit, 2)
    assert not admits(advance(used, limit, begins + length - 1), limit, 1)
    assert admits(advance(used, limit, begins + length), limit, 2)
    assert figures(used) == (2, length, 0, 0)


@pytest.mark.parametrize("limit", [MINUTE, DAY], ids=str)
def test_a_clock_that_is_behind_stays_in_the_same_window(limit: Limit) -> None:
    begins, length = BEGINS[limit], LENGTHS[limit]
    used = consume(advance(FixedWindow(), limit, begins + 5), limit, 2)
    behind = advance(corrected(used, limit, begins - 10), limit, begins - 10)
    assert figures(behind) == (2, length + 10, 0, 0)
    assert figures(consume(behind, limit, 1))[0] == 3


@pytest.mark.parametrize("limit", [MINUTE, DAY], ids=str)
def test_usage_counted_by_a_wrong_clock_moves_to_the_present_window(limit: Limit) -> None:
    begins, length = BEGINS[limit], LENGTHS[limit]
    used = consume(advance(FixedWindow(), limit, begins + 9 * length), limit, 2)
    right = advance(corrected(used, limit, begins + 5), limit, begins + 5)
    assert figures(right) == (2, length - 5, 0, 0)


def test_a_cost_above_the_quota_has_no_wait() -> None:
    fresh = advance(FixedWindow(), MINUTE, BEGINS[MINUTE])
    read = states_of([policy("p", MINUTE)], 3, [(False, *figures(fresh))], consumes=False)[0]
    assert (read.retry_after, read.next_capacity_after, read.reset_after) == (None, None, 0)
