"""The policies and limits that apply to a client, and the interval in which the selection is valid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_enforcer.domain.client import ClientRecord, Override
from ratelimit_enforcer.domain.dates import is_between
from ratelimit_enforcer.domain.enums import Mode
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Endpoint, Plan, Policy
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.domain.selection import plan_of, select

TEN, HUNDRED = (Limit(10, 60),), (Limit(100, 60),)
RULES = Ruleset(
    plans=(Plan("free", "Free"), Plan("pro", "Pro")),
    default_plan="free",
    endpoints=(Endpoint("search", "Search"),),
    policies=(
        Policy("everyone", TEN),
        Policy("free-search", TEN, plan="free", endpoint="search"),
        Policy("off", TEN, mode=Mode.DISABLED),
        Policy("pro-all", TEN, plan="pro"),
        Policy("search", TEN, endpoint="search", mode=Mode.SHADOW),
    ),
)


def slugs(record: ClientRecord, endpoint: str | None, rules: Ruleset = RULES, now: int = 0) -> list[str]:
    return [each.policy.slug for each in select(rules, record, endpoint, now).policies]


@pytest.mark.parametrize(
    ("plan", "endpoint", "met"),
    [
        (None, "search", ["everyone", "free-search", "search"]),
        ("free", "search", ["everyone", "free-search", "search"]),
        ("pro", "search", ["everyone", "pro-all", "search"]),
        ("pro", None, ["everyone", "pro-all"]),
        ("gone", None, ["everyone"]),
    ],
)
def test_every_policy_that_matches_applies(plan: str | None, endpoint: str | None, met: list[str]) -> None:
    assert slugs(ClientRecord("acme", 1, plan=plan), endpoint) == met


def test_a_client_on_a_deleted_plan_is_on_the_default_plan() -> None:
    assert plan_of(RULES, ClientRecord("acme", 1, plan="gone")) == "free"
    assert plan_of(Ruleset(), ClientRecord("acme")) is None


def test_without_plans_nothing_applies() -> None:
    assert slugs(ClientRecord("acme"), None, Ruleset()) == []


def test_the_emergency_switch_puts_all_policies_into_shadow_mode() -> None:
    rules = Ruleset(RULES.plans, "free", RULES.endpoints, RULES.policies, shadow_all=True)
    met = select(rules, ClientRecord("acme"), "search", 0).policies
    assert {each.mode for each in met} == {Mode.SHADOW}
    assert "off" not in [each.policy.slug for each in met]


def limits_at(record: ClientRecord, now: int) -> tuple[Limit, ...]:
    return select(RULES, record, "search", now).policies[0].limits


def test_an_override_replaces_the_limits_of_its_policy_while_it_is_valid() -> None:
    record = ClientRecord("acme", 1, overrides=(Override("everyone", HUNDRED, 100, 200),))
    assert [limits_at(record, now) for now in (99, 100, 199, 200)] == [TEN, HUNDRED, HUNDRED, TEN]
    assert select(RULES, record, "search", 150).policies[1].limits == TEN


@pytest.mark.parametrize(
    ("now", "span"),
    [(50, (None, 100)), (100, (100, 200)), (250, (200, 300)), (300, (300, None))],
)
def test_a_selection_is_valid_until_an_override_starts_or_ends(now: int, span: tuple[int | None, int | None]) -> None:
    overrides = (Override("everyone", HUNDRED, 100, 200), Override("search", HUNDRED, 300, None))
    found = select(RULES, ClientRecord("acme", 1, overrides=overrides), "search", now)
    assert (found.valid_from, found.valid_until) == span


DATES = st.none() | st.integers(0, 12)


@given(st.lists(st.tuples(DATES, DATES), max_size=4))
def test_a_selection_with_dated_policies_is_valid_exactly_in_its_interval(
    dates: list[tuple[int | None, int | None]],
) -> None:
    policies = tuple(Policy(f"p{at}", TEN, starts_at=start, ends_at=end) for at, (start, end) in enumerate(dates))
    rules = Ruleset(RULES.plans, "free", policies=policies)
    found = {now: select(rules, ClientRecord("acme"), None, now) for now in range(-1, 14)}
    for now, selection in found.items():
        in_force = [each.slug for each in policies if each.starts_at is None or each.starts_at <= now]
        ended = [each.slug for each in policies if each.ends_at is not None and each.ends_at <= now]
        assert [each.policy.slug for each in selection.policies] == [slug for slug in in_force if slug not in ended]
        for other in found:
            if is_between(other, selection.valid_from, selection.valid_until):
                assert found[other].policies == selection.policies


@pytest.mark.parametrize(("now", "span"), [(0, (None, 5)), (5, (5, 9)), (8, (5, 9)), (9, (9, None))])
def test_a_selection_is_valid_until_a_policy_starts_or_ends(now: int, span: tuple[int | None, int | None]) -> None:
    rules = Ruleset(RULES.plans, "free", policies=(Policy("sale", TEN, starts_at=5, ends_at=9),))
    found = select(rules, ClientRecord("acme"), None, now)
    assert (found.valid_from, found.valid_until) == span


def test_overrides_of_policies_that_do_not_apply_change_nothing() -> None:
    record = ClientRecord("acme", 1, overrides=(Override("pro-all", HUNDRED, 100, 200),))
    found = select(RULES, record, "search", 150)
    assert (found.valid_from, found.valid_until) == (None, None)
    assert {each.limits for each in found.policies} == {TEN}
