"""Exact counts of the requests with which a limit reaches 50, 80, 90 or 100 % of its capacity."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_enforcer.domain.decision import states_of
from ratelimit_enforcer.domain.enums import Algorithm, Mode, Partition
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.selection import EffectivePolicy
from ratelimit_enforcer.store.keys import shard_of
from tests.support.deciding import START, Desk, policy, sliding, token_bucket
from tests.support.histories import STEPS, Step, history_settings, policies

THRESHOLDS = (50, 80, 90, 100)


def reached(desk: Desk, *clients: str) -> Counter[tuple[str, str, int]]:
    """(client, policy, threshold) → count, summed over all minutes and endpoints."""
    found: Counter[tuple[str, str, int]] = Counter()
    for key in {desk.keys.usage[shard_of(client)] for client in clients}:
        for field, amount in desk.redis.hgetall(key).items():
            _, kind, _, slug, client = field.decode().split("\n")
            if kind.isdigit():
                found[client, slug, int(kind)] += int(amount)
    return found


def spend(desk: Desk, limit: Limit, costs: list[int], mode: Mode = Mode.ENFORCE) -> list[int]:
    """The thresholds that were reached, in the order of the requests."""
    thresholds = []
    for cost in costs:
        before = reached(desk, "acme")
        desk.check("acme", [policy("all", limit, mode=mode)], cost)
        thresholds += sorted(threshold for _, _, threshold in (reached(desk, "acme") - before).elements())
    return thresholds


@pytest.mark.parametrize(
    "limit",
    [
        sliding(10, 3_600),
        token_bucket(10, 3_600),
        token_bucket(1, 3_600, 10),
        Limit(10, 3_600, Algorithm.FIXED_WINDOW),
        Limit(10, None, Algorithm.CALENDAR, period="day"),  # type: ignore[arg-type]
    ],
)
def test_each_threshold_is_counted_once_on_the_way_up(desk: Desk, limit: Limit) -> None:
    assert spend(desk, limit, [4]) == []
    assert spend(desk, limit, [1]) == [50]
    assert spend(desk, limit, [1, 1]) == []
    assert spend(desk, limit, [1]) == [80]
    assert spend(desk, limit, [1, 1]) == [90, 100]
    assert spend(desk, limit, [1]) == []


def test_79_of_100_is_not_80_percent(desk: Desk) -> None:
    assert spend(desk, sliding(100, 60), [49, 30]) == [50]
    assert spend(desk, sliding(100, 60), [1]) == [80]


def test_one_request_can_reach_several_thresholds(desk: Desk) -> None:
    assert spend(desk, sliding(2, 60), [2]) == [50, 80, 90, 100]


def test_a_threshold_is_counted_again_after_usage_fell_below_it(desk: Desk) -> None:
    assert spend(desk, sliding(10, 60), [9]) == [50, 80, 90]
    desk.at(START + 60_000_000)
    assert spend(desk, sliding(10, 60), [8]) == [50, 80]


def test_a_partial_refill_above_the_threshold_does_not_count_it_again(desk: Desk) -> None:
    assert spend(desk, token_bucket(10, 100), [8]) == [50, 80]
    desk.at(START + 9_000_000)
    assert spend(desk, token_bucket(10, 100), [1]) == [90]


@pytest.mark.parametrize("fields", [{"consume": False}, {"valid_from": START + 1}])
def test_a_check_that_consumes_nothing_counts_no_threshold(desk: Desk, fields: dict[str, object]) -> None:
    consume = bool(fields.pop("consume", True))
    desk.decide(desk.request("acme", [policy("all", sliding(2, 60))], 2, **fields), consume=consume)
    assert not reached(desk, "acme")


def test_denied_requests_and_shadow_policies_count_no_threshold(desk: Desk) -> None:
    full = policy("full", sliding(0, 60))
    desk.check("acme", [policy("all", sliding(2, 60)), full], 2)
    assert not reached(desk, "acme")
    assert spend(desk, sliding(2, 60), [2], Mode.SHADOW) == []


def test_thresholds_are_counted_by_minute_endpoint_policy_and_client(desk: Desk) -> None:
    desk.check("acme", [policy("all", sliding(2, 60))], endpoint="search")
    fields = {field.decode() for field in desk.redis.hkeys(desk.keys.usage[shard_of("acme")])}
    assert f"{START // 60_000_000}\n50\nsearch\nall\nacme" in fields


def used(desk: Desk, client: str, rules: list[EffectivePolicy]) -> list[tuple[str, int, int]]:
    """For each limit of the enforcing policies: (policy, used, capacity), as a caller reads them."""
    states = states_of(rules, 1, desk.check(client, rules, consume=False).readings, consumes=False)
    return [
        (state.policy, state.limit.capacity - state.remaining, state.limit.capacity)
        for state in states
        if state.is_enforced
    ]


def expected(client: str, before: list[tuple[str, int, int]], after: list[tuple[str, int, int]]) -> Counter[object]:
    return Counter(
        (client, slug, threshold)
        for (slug, earlier, capacity), (_, later, _) in zip(before, after, strict=True)
        for threshold in THRESHOLDS
        if earlier * 100 < threshold * capacity <= later * 100
    )


@given(rules=policies(partitions=(Partition.CLIENT,)), steps=st.lists(STEPS, max_size=12))
@history_settings(60)
def test_counted_thresholds_agree_with_the_figures_before_and_after_each_request(
    desk: Desk, rules: list[EffectivePolicy], steps: list[Step]
) -> None:
    desk.delete_counters()
    # The histories of all examples are in the same minutes, so they share the bound on new counts.
    desk.decider._counts_per_shard = 10**6
    desk.redis.delete(*desk.keys.usage)
    wanted: Counter[object] = Counter()
    now = START
    for step in steps:
        now = max(now, now + step.wait)
        desk.at(now)
        before = used(desk, step.client, rules)
        admitted = desk.check(step.client, rules, step.cost, consume=step.consume).admitted
        if admitted and step.consume:
            wanted += expected(step.client, before, used(desk, step.client, rules))
    assert reached(desk, "ann", "bob") == wanted
