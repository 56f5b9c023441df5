"""What a request took is given back exactly where nobody asked meanwhile, and never too much."""

from hypothesis import given
from hypothesis import strategies as st

from limits.domain.limit import SECOND, Limit
from limits.store import scripts
from limits.store.deadline import Deadline
from limits.store.decider import Verb
from tests.store.test_promises import TIMES, Oracle, states
from tests.support.deciding import START, Desk, policy
from tests.support.histories import history_settings, limit_lists

COST = st.integers(1, 12)


def take(desk: Desk, limits: list[Limit], cost: int, now: int) -> bool:
    """One request that is consumed and not counted. Returns whether it was admitted."""
    desk.at(now)
    question = desk.question("ann", [policy("alone", *limits)], cost)
    answer = desk.decider.decide(question, Deadline(10), Verb.TAKE)
    return answer.admitted  # type: ignore[union-attr]


def give_back(desk: Desk, limits: list[Limit], cost: int, taken: int) -> None:
    question = desk.question("ann", [policy("alone", *limits)], cost)
    keys = [desk.decider._counter_key(desk.bucket("ann"), "ann", counter) for counter in question.policies]
    scripts.load("give_back").run(desk.connections, keys, (taken, cost, "1", question.rules), Deadline(10))


@history_settings(250)
@given(limits=limit_lists(), before=TIMES, cost=COST)
def test_given_back_at_once_it_was_never_taken(
    desk: Desk, limits: list[Limit], before: list[tuple[int, int]], cost: int
) -> None:
    desk.forget()
    rules, now = [policy("alone", *limits)], START
    for wait, earlier in before:
        now += wait
        states(desk, rules, now, earlier, consume=True)
    was = [(state.remaining, state.retry_after) for state in states(desk, rules, now, 10**6)]
    if take(desk, limits, cost, now):
        give_back(desk, limits, cost, now)
    assert [(state.remaining, state.retry_after) for state in states(desk, rules, now, 10**6)] == was


def test_what_has_left_the_count_is_not_given_back_out_of_what_came_after(desk: Desk) -> None:
    limits = [Limit(1, 1)]
    assert take(desk, limits, 1, START)
    assert take(desk, limits, 1, START + SECOND)
    give_back(desk, limits, 1, START)
    assert not take(desk, limits, 1, START + SECOND)


@history_settings(400)
@given(limit=limit_lists().map(lambda drawn: drawn[0]), before=TIMES, cost=COST, meanwhile=TIMES, after=TIMES)
def test_given_back_late_it_never_makes_room_that_was_not_there(
    desk: Desk,
    limit: Limit,
    before: list[tuple[int, int]],
    cost: int,
    meanwhile: list[tuple[int, int]],
    after: list[tuple[int, int]],
) -> None:
    desk.forget()
    rules, oracle, now = [policy("alone", limit)], Oracle(limit), START

    def ask(wait: int, asked: int) -> None:
        nonlocal now
        now += wait
        if states(desk, rules, now, asked, consume=True)[0].allowed:
            assert oracle.may_admit(now, asked)
            oracle.admit(now, asked)

    for wait, asked in before:
        ask(wait, asked)
    taken, took = now, take(desk, [limit], cost, now)
    for wait, asked in meanwhile:
        ask(wait, asked)
    if took:
        give_back(desk, [limit], cost, taken)
    for wait, asked in after:
        ask(wait, asked)
