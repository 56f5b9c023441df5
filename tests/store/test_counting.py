"""A request that was not counted by its decision is counted as it would have been."""

from hypothesis import given
from hypothesis import strategies as st

from limits.domain.counting import Count, counts_of
from limits.domain.decision import Decision, states_of
from limits.domain.selection import EffectivePolicy
from limits.store.counting import Counting
from limits.store.deadline import Deadline
from limits.store.keys import client_field
from tests.support.deciding import START, Desk
from tests.support.histories import COSTS, history_settings, policies

MINUTE = START // 60_000_000
BOUND = 10**6


def usage(desk: Desk) -> dict[bytes, bytes]:
    return desk.redis.hgetall(desk.keys.usage[desk.bucket("ann")])


@history_settings(200)
@given(rules=policies(), costs=st.lists(COSTS, min_size=1, max_size=6))
def test_script_and_function_count_alike(desk: Desk, rules: list[EffectivePolicy], costs: list[int]) -> None:
    desk.forget()
    desk.decider._counts_per_bucket = BOUND
    counting = Counting(desk.connections, desk.keys, BOUND)
    for cost in costs:
        desk.redis.delete(*desk.keys.usage)
        answer = desk.ask("ann", rules, cost, endpoint="search")
        wanted = usage(desk)
        desk.redis.delete(*desk.keys.usage)
        limits = states_of(rules, cost, answer.readings, consumes=answer.admitted)
        decision = Decision(answer.admitted, None, "ann", "free", "search", cost, 1, limits)
        counting.count("ann", "search", counts_of(decision), Deadline(10), MINUTE)
        assert usage(desk) == wanted


def test_the_bound_and_the_names_are_those_of_every_count(desk: Desk) -> None:
    counting = Counting(desk.connections, desk.keys, 0)
    counting.count("ann", None, [Count("a", "", 1)], Deadline(10), MINUTE)
    desk.redis.hset(desk.keys.buckets[desk.bucket("ann")], client_field("ann"), "1 {}")
    counting.count("ann", None, [Count("a", "", 2)], Deadline(10), MINUTE)
    assert usage(desk) == {f"{MINUTE}\na\n\n\n".encode(): b"1", f"{MINUTE}\na\n\n\nann".encode(): b"2"}
