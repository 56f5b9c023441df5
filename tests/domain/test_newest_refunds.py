"""Refunds of the newest usage, compared with their definition."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ratelimit_enforcer.domain import fixed_window, sliding_window, token_bucket
from ratelimit_enforcer.domain.enums import Algorithm
from ratelimit_enforcer.domain.fixed_window import FixedWindow
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from ratelimit_enforcer.domain.sliding_window import SlidingWindow
from ratelimit_enforcer.domain.states import newest_refunded_state
from ratelimit_enforcer.domain.token_bucket import TokenBucket
from tests.support.histories import history_settings

START = 1_800_000_000_000_000
SLIDING, FIXED = Limit(1_000, 60), Limit(1_000, 60, Algorithm.FIXED_WINDOW)
BUCKET = Limit(10, 60, Algorithm.TOKEN_BUCKET, 1_000)
REQUESTS = st.lists(st.tuples(st.integers(1, 20 * SECOND_US), st.integers(1, 12)), max_size=12)
"""The microseconds since the request before, and the cost."""


def requests_at(waits: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    now, requests = START, []
    for wait, cost in waits:
        now += wait
        requests.append((now, cost))
    return requests


def sliding(requests: Sequence[tuple[int, int]]) -> SlidingWindow:
    window = SlidingWindow()
    for at, cost in requests:
        window = sliding_window.consume(sliding_window.advance(window, SLIDING, at), SLIDING, cost)
    return window


@history_settings(400)
@given(waits=REQUESTS, wait=st.integers(0, 90 * SECOND_US), amount=st.integers(1, 80))
def test_a_sliding_window_is_as_if_the_newest_requests_had_cost_less(
    waits: list[tuple[int, int]], wait: int, amount: int
) -> None:
    requests = requests_at(waits)
    now = (requests[-1][0] if requests else START) + wait
    refunded, left = newest_refunded_state(sliding(requests), SLIDING, amount, now)[0], amount
    for index in reversed(range(len(requests))):
        at, cost = requests[index]
        less = min(left, cost) if at + SLIDING.window_us > now else 0
        requests[index], left = (at, cost - less), left - less
    assert isinstance(refunded, SlidingWindow)
    for later in (0, 5 * SECOND_US, 30 * SECOND_US, 61 * SECOND_US):
        expected = sum(cost for at, cost in requests if at + SLIDING.window_us > now + later)
        assert sliding_window.advance(refunded, SLIDING, now + later).used == expected


@history_settings(400)
@given(waits=REQUESTS, wait=st.integers(0, 90 * SECOND_US), amount=st.integers(1, 80))
def test_a_bucket_has_the_tokens_back_but_never_more_than_its_burst(
    waits: list[tuple[int, int]], wait: int, amount: int
) -> None:
    bucket, now = TokenBucket(), START
    for now, cost in requests_at(waits):
        bucket = token_bucket.consume(token_bucket.advance(bucket, BUCKET, now), BUCKET, cost)
    now += wait
    present = token_bucket.advance(bucket, BUCKET, now)
    used = present.used * BUCKET.quota + present.rest
    refunded, tokens = token_bucket.refund_newest(bucket, BUCKET, amount, now)
    after = token_bucket.advance(refunded, BUCKET, now)
    assert after.used * BUCKET.quota + after.rest == max(0, used - amount * BUCKET.window_us)
    assert tokens == min(amount, -(-used // BUCKET.window_us))


def test_a_reservation_gets_at_most_the_usage_back_that_the_refund_left() -> None:
    bucket, label = token_bucket.reserve(token_bucket.advance(TokenBucket(), BUCKET, START), BUCKET, 10, START * 2)
    bucket, _ = token_bucket.refund_newest(bucket, BUCKET, 7, START)
    later = token_bucket.consume(token_bucket.advance(bucket, BUCKET, START + 1), BUCKET, 20)
    settled = token_bucket.refund(later, BUCKET, 10, 10, label)
    assert token_bucket.room(token_bucket.advance(settled, BUCKET, START + 1), BUCKET) == 1_000 - 20


def test_a_window_that_has_ended_gets_nothing_back() -> None:
    window = fixed_window.consume(fixed_window.advance(FixedWindow(), FIXED, START), FIXED, 5)
    assert newest_refunded_state(window, FIXED, 3, START + 59 * SECOND_US)[1] == 3
    assert newest_refunded_state(window, FIXED, 9, window.end - 1)[1] == 5
    assert newest_refunded_state(window, FIXED, 9, window.end) == (window, 0)
