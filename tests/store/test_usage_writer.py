"""A request that was not counted by its script call is counted in the same way by the usage writer."""

from hypothesis import given
from hypothesis import strategies as st

from ratelimit_enforcer.domain.decision import Decision, states_of
from ratelimit_enforcer.domain.selection import EffectivePolicy
from ratelimit_enforcer.domain.usage import Count, counts_of
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.keys import client_field
from ratelimit_enforcer.store.usage import UsageWriter
from tests.support.deciding import START, Desk
from tests.support.histories import COSTS, history_settings, policies

MINUTE = START // 60_000_000
BOUND = 10**6


def usage(desk: Desk) -> dict[bytes, bytes]:
    return desk.redis.hgetall(desk.keys.usage[desk.shard("ann")])


@history_settings(200)
@given(rules=policies(), costs=st.lists(COSTS, min_size=1, max_size=6))
def test_script_and_usage_writer_write_the_same_counts(
    desk: Desk, rules: list[EffectivePolicy], costs: list[int]
) -> None:
    desk.delete_counters()
    desk.decider._counts_per_shard = BOUND
    counting = UsageWriter(desk.connections, desk.keys, BOUND)
    for cost in costs:
        desk.redis.delete(*desk.keys.usage)
        answer = desk.check("ann", rules, cost, endpoint="search")
        wanted = usage(desk)
        desk.redis.delete(*desk.keys.usage)
        limits = states_of(rules, cost, answer.readings, consumes=answer.admitted)
        decision = Decision(answer.admitted, None, "ann", "free", "search", cost, 1, limits)
        counting.add("ann", "search", counts_of(decision), Deadline(10), MINUTE)
        assert usage(desk) == wanted


def test_the_usage_writer_applies_the_same_bound_and_keeps_registered_names(desk: Desk) -> None:
    counting = UsageWriter(desk.connections, desk.keys, 0)
    counting.add("ann", None, [Count("a", "", 1)], Deadline(10), MINUTE)
    desk.redis.hset(desk.keys.shards[desk.shard("ann")], client_field("ann"), "1 {}")
    counting.add("ann", None, [Count("a", "", 2)], Deadline(10), MINUTE)
    assert usage(desk) == {f"{MINUTE}\na\n\n\n".encode(): b"1", f"{MINUTE}\na\n\n\nann".encode(): b"2"}
