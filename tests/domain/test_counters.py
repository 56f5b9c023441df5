"""The reference model over several policies: a request consumes from all or from none."""

from collections.abc import Sequence

from ratelimit_enforcer.domain.counters import Counters
from ratelimit_enforcer.domain.enums import Mode
from ratelimit_enforcer.domain.selection import EffectivePolicy
from tests.support.deciding import START, policy, sliding, token_bucket


def used(counters: Counters, policies: Sequence[EffectivePolicy], now: int = START) -> list[list[int]]:
    """The usage of each limit, by a peek."""
    _, readings = counters.check(policies, 1, now, consume=False)
    return [[reading[1] for reading in row] for row in readings]


def test_a_denied_request_consumes_from_no_policy() -> None:
    counters, rules = Counters(), [policy("one", sliding(5, 60), sliding(9, 3_600)), policy("two", sliding(2, 60))]
    outcomes = [counters.check(rules, 1, START)[0] for _ in range(6)]
    assert outcomes == [True, True, False, False, False, False]
    assert used(counters, rules) == [[2, 2], [2]]


def test_limits_of_two_algorithms_in_one_policy() -> None:
    counters, rules = Counters(), [policy("one", sliding(100, 60), token_bucket(10, 60, 10))]
    assert counters.check(rules, 7, START)[0]
    assert not counters.check(rules, 7, START)[0]
    assert counters.check(rules, 3, START)[0]
    assert used(counters, rules)[0][0] == 10


def test_a_shadow_policy_never_denies_and_consumes_only_what_it_would_have_admitted() -> None:
    trial = policy("trial", sliding(2, 60), sliding(9, 3_600), mode=Mode.SHADOW)
    counters, rules = Counters(), [policy("wide", sliding(9, 60)), trial]
    assert [counters.check(rules, 1, START)[0] for _ in range(5)] == [True] * 5
    assert used(counters, rules) == [[5], [2, 2]]


def test_a_shadow_policy_consumes_nothing_of_a_denied_request() -> None:
    trial = policy("trial", sliding(9, 60), mode=Mode.SHADOW)
    counters, rules = Counters(), [policy("tight", sliding(1, 60)), trial]
    assert [counters.check(rules, 1, START)[0] for _ in range(3)] == [True, False, False]
    assert used(counters, rules) == [[1], [1]]


def test_a_peek_consumes_no_quota() -> None:
    counters, rules = Counters(), [policy("one", sliding(1, 60))]
    assert [counters.check(rules, 1, START, consume=False)[0] for _ in range(3)] == [True] * 3
    assert counters.counters == {}


def test_without_policies_everything_is_admitted() -> None:
    assert Counters().check([], 10**6, START) == (True, [])


def test_a_changed_window_or_algorithm_resets_the_usage_but_a_changed_quota_does_not() -> None:
    counters = Counters()
    assert counters.check([policy("one", sliding(1, 60))], 1, START)[0]
    assert not counters.check([policy("one", sliding(1, 60))], 1, START)[0]
    assert not counters.check([policy("one", sliding(1, 60), sliding(5, 120))], 1, START)[0]
    assert counters.check([policy("one", sliding(2, 60))], 1, START)[0]
    assert counters.check([policy("one", sliding(1, 120))], 1, START)[0]
    assert counters.check([policy("one", token_bucket(1, 60))], 1, START)[0]
