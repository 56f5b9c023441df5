"""The decision script gives the same results as the reference model on the same histories."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_enforcer.domain.counters import Counters
from ratelimit_enforcer.domain.limit import SECOND_US
from ratelimit_enforcer.domain.readings import Reading
from ratelimit_enforcer.domain.selection import EffectivePolicy
from ratelimit_enforcer.store.answers import ClientChanged, Decided, OutsideValidity
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.keys import shard_of
from tests.support.deciding import START, Desk, policy, sliding, token_bucket
from tests.support.histories import STEPS, Step, editions, history_settings


def flat(readings: list[list[Reading]]) -> tuple[Reading, ...]:
    return tuple(reading for row in readings for reading in row)


@history_settings(1_000)
@given(rules=editions(), steps=st.lists(STEPS, max_size=60))
def test_script_and_model_agree_while_rules_change(
    desk: Desk, rules: list[list[EffectivePolicy]], steps: list[Step]
) -> None:
    desk.delete_counters()
    model, now = Counters(), START
    for step in steps:
        now = max(START, now + step.wait)
        desk.at(now)
        answer = desk.check(step.client, rules[step.rules], step.cost, consume=step.consume)
        admitted, expected = model.check(rules[step.rules], step.cost, now, client=step.client, consume=step.consume)
        assert answer.admitted == admitted
        assert answer.readings == flat(expected)


@history_settings(300)
@given(rules=editions(), steps=st.lists(STEPS, min_size=1, max_size=60))
def test_a_batch_equals_its_checks_one_after_another(
    desk: Desk, rules: list[list[EffectivePolicy]], steps: list[Step]
) -> None:
    desk.delete_counters()
    desk.at(START)
    requests = [desk.request(step.client, rules[step.rules], step.cost) for step in steps]
    answers = desk.decider.decide_in_order(requests, Deadline(10))
    model = Counters()
    assert len(answers) == len(steps)
    for step, answer in zip(steps, answers, strict=True):
        admitted, expected = model.check(rules[step.rules], step.cost, START, client=step.client)
        assert isinstance(answer, Decided)
        assert answer.admitted == admitted
        assert answer.readings == flat(expected)


def test_a_busy_window_has_bounded_size_and_is_at_most_a_64th_late(desk: Desk) -> None:
    limit, model, now = sliding(10**6, 64), Counters(), START
    rules = [policy("busy", limit)]
    for _ in range(1_500):
        now += 50_021
        desk.at(now)
        answer = desk.check("acme", rules, 3)
        _, expected = model.check(rules, 3, now)
        assert answer.readings == flat(expected)
    size = desk.redis.strlen(desk.keys.counter(shard_of("acme"), "busy", "acme"))
    assert size <= 7 + 4 + 130 * 12
    exact = 3 * sum(1 for at in range(1_500) if now - at * 50_021 > now - 64_000_000)
    used = answer.readings[0][1] + 3
    assert exact <= used <= exact + 3 * (1_000_000 // 50_021 + 1)


@pytest.mark.parametrize(
    ("valid_from", "valid_until", "decides"),
    [(0, None, True), (1, None, False), (None, 1, True), (None, 0, False), (-1, 1, True)],
)
def test_rules_are_valid_from_a_time_inclusive_until_a_time_exclusive(
    desk: Desk, valid_from: int | None, valid_until: int | None, decides: bool
) -> None:
    edges = {
        name: None if edge is None else START + edge
        for name, edge in (("valid_from", valid_from), ("valid_until", valid_until))
    }
    answer = desk.decide(desk.request("acme", [policy("p", sliding(9, 60))], **edges))
    assert isinstance(answer, Decided) == decides
    assert decides or answer == OutsideValidity(START)


def test_checks_after_one_with_old_rules_are_not_decided(desk: Desk) -> None:
    rules = [policy("p", sliding(9, 60))]
    requests = [desk.request("ann", rules), desk.request("ann", rules, revision=7), desk.request("ann", rules)]
    answers = desk.decider.decide_in_order(requests, Deadline(10))
    assert [type(answer) for answer in answers] == [Decided, ClientChanged]
    assert desk.check("ann", rules, consume=False).readings[0][1] == 1


def test_a_counter_of_an_earlier_release_stays_valid(desk: Desk) -> None:
    """It had no header with the time at which it expires."""
    rules, key = [policy("all", sliding(10, 60))], desk.keys.counter(shard_of("acme"), "all", "acme")
    desk.check("acme", rules, 3)
    written = desk.redis.get(key)
    desk.redis.set(key, written[15:])
    assert [desk.check("acme", rules).readings[0][1] for _ in range(2)] == [3, 4]
    assert desk.redis.get(key)[:7] == written[:7]


def test_a_counter_does_not_grow_when_its_expiry_is_renewed(desk: Desk) -> None:
    rules, key, sizes = [policy("all", token_bucket(10, 60))], desk.keys.counter(shard_of("acme"), "all", "acme"), []
    for minutes in range(5):
        desk.at(START + minutes * 60 * SECOND_US)
        assert desk.check("acme", rules).admitted
        sizes.append(desk.redis.strlen(key))
    assert sizes == [15 + 7 + 24] * 5
