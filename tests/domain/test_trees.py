"""Clients below a parent: which limits of the client and of its ancestors apply, and under which names."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_enforcer.domain.attributes import Match
from ratelimit_enforcer.domain.client import ClientRecord, Override, counter_owners
from ratelimit_enforcer.domain.counters import Counters
from ratelimit_enforcer.domain.decision import states_of
from ratelimit_enforcer.domain.enums import ClientStatus, Partition
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Plan, Policy
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.domain.segments import Segment, SegmentOverride
from ratelimit_enforcer.domain.selection import Selection, plan_of, select, select_all, status_of

PLANS = ("free", "pro", "big")
TEN = (Limit(10, 60),)
POLICIES = (
    *(Policy(f"{plan}-own", TEN, plan=plan) for plan in PLANS),
    *(Policy(f"{plan}-all", TEN, plan=plan, partition=Partition.GLOBAL) for plan in PLANS),
    Policy("every", TEN),
    Policy("every-all", TEN, partition=Partition.GLOBAL),
    Policy("tagged", TEN, plan="pro", match=Match(client_tags=("vip",))),
)
RULES = Ruleset(tuple(Plan(slug, slug) for slug in PLANS), "free", policies=POLICIES)


def tree(*records: ClientRecord) -> list[ClientRecord]:
    """The client, its parent and so on, linked by their parents."""
    parents = [record.key for record in records[1:]]
    return [replace(record, parent=parent) for record, parent in zip(records, [*parents, None], strict=True)]


def client(key: str, **fields: Any) -> ClientRecord:
    return replace(ClientRecord(key, 1), **fields)


def selected(*records: ClientRecord, rules: Ruleset = RULES, now: int = 0) -> Selection:
    record, *ancestors = tree(*records)
    return select(rules, record, None, now, ancestors=ancestors)


def names(*records: ClientRecord) -> list[tuple[str, int]]:
    return [(each.policy.slug, each.level) for each in selected(*records).policies]


def test_a_client_without_a_plan_has_the_limits_of_its_ancestors_and_of_policies_without_a_plan() -> None:
    found = names(client("key"), client("acme", plan="pro"))
    assert found == [("every", 0), ("every-all", 0), ("pro-own", 1), ("pro-all", 0)]


def test_a_client_with_a_plan_has_its_limits_too() -> None:
    found = names(client("key", plan="big"), client("team"), client("acme", plan="pro"))
    assert found == [
        *[("big-own", 0), ("big-all", 0), ("every", 0), ("every-all", 0)],
        *[("pro-own", 2), ("pro-all", 0)],
    ]


def test_a_root_without_a_plan_is_on_the_default_plan_for_its_descendants_too() -> None:
    assert ("free-own", 1) in names(client("key"), client("acme"))
    assert ("free-own", 0) in names(client("acme"))


def test_a_counter_that_two_of_them_share_is_consumed_once() -> None:
    both = names(client("key", plan="pro"), client("acme", plan="pro"))
    assert [each for each in both if each[0].startswith("pro")] == [("pro-own", 0), ("pro-all", 0), ("pro-own", 1)]


def test_tags_are_those_of_the_client_whose_limit_it_is() -> None:
    assert ("tagged", 1) in names(client("key"), client("acme", plan="pro", tags=("vip",)))
    assert "tagged" not in dict(names(client("key", tags=("vip",)), client("acme", plan="pro")))
    assert ("tagged", 0) in names(client("key", plan="pro", tags=("vip",)), client("acme"))


def test_overrides_are_those_of_the_client_whose_limit_it_is() -> None:
    raised = Override("pro-own", (Limit(99, 60),))
    policies = selected(client("key", plan="pro"), client("acme", plan="pro", overrides=(raised,))).policies
    quotas = {each.level: each.limits[0].quota for each in policies if each.policy.slug == "pro-own"}
    assert quotas == {0: 10, 1: 99}


def test_the_override_of_a_segment_applies_to_ancestors_in_the_segment() -> None:
    override = SegmentOverride(Segment(prefix="ac"), "pro-own", (Limit(99, 60),))
    rules = replace(RULES, segment_overrides=(override,))
    policies = selected(client("key", plan="pro"), client("acme", plan="pro"), rules=rules).policies
    quotas = {each.level: each.limits[0].quota for each in policies if each.policy.slug == "pro-own"}
    assert quotas == {0: 10, 1: 99}


def test_an_exempt_ancestor_contributes_no_limits() -> None:
    exempt = client("team", plan="big", status=ClientStatus.EXEMPT)
    found = names(client("key"), exempt, client("acme", plan="pro"))
    assert found == [("every", 0), ("every-all", 0), ("pro-own", 2), ("pro-all", 0)]


@pytest.mark.parametrize(
    ("own", "above", "status"),
    [
        (ClientStatus.ACTIVE, ClientStatus.BLOCKED, ClientStatus.BLOCKED),
        (ClientStatus.EXEMPT, ClientStatus.BLOCKED, ClientStatus.BLOCKED),
        (ClientStatus.BLOCKED, ClientStatus.EXEMPT, ClientStatus.BLOCKED),
        (ClientStatus.EXEMPT, ClientStatus.ACTIVE, ClientStatus.EXEMPT),
        (ClientStatus.ACTIVE, ClientStatus.EXEMPT, ClientStatus.ACTIVE),
    ],
)
def test_a_blocked_ancestor_blocks(own: ClientStatus, above: ClientStatus, status: ClientStatus) -> None:
    record, *ancestors = tree(client("key", status=own), client("team"), client("acme", status=above))
    assert status_of(record, ancestors) is status


def test_the_validity_is_that_of_all_limits_together() -> None:
    own, above = Override("every", TEN, 10, 50), Override("pro-own", TEN, 20, 40)
    records = client("key", overrides=(own,)), client("acme", plan="pro", overrides=(above,))
    for now, expected in ((5, (None, 10)), (15, (10, 20)), (30, (20, 40)), (45, (40, 50)), (60, (50, None))):
        found = selected(*records, now=now)
        assert (found.valid_from, found.valid_until) == expected


def test_all_limits_of_a_client_include_those_of_its_ancestors() -> None:
    record, *ancestors = tree(client("key", plan="big"), client("acme", plan="pro"))
    found = select_all(RULES, record, 0, ancestors=ancestors).policies
    assert [(each.policy.slug, each.level) for each in found] == [("big-own", 0), ("every", 0), ("pro-own", 1)]


def test_a_state_names_the_client_that_it_belongs_to() -> None:
    policies = selected(client("key", plan="pro"), client("team"), client("acme", plan="pro")).policies
    readings = [(True, 0, -1, 0, 0)] * len(policies)
    states = states_of(policies, 1, readings, consumes=True, subjects=("key", "team", "acme"))
    assert [(state.name, state.client) for state in states] == [
        ("pro-own:60s", "key"),
        ("pro-all:60s", None),
        ("every:60s", "key"),
        ("every-all:60s", None),
        ("pro-own:60s~2", "acme"),
    ]


def test_counters_have_other_names_after_a_move_of_the_client_or_an_ancestor() -> None:
    assert counter_owners(tree(client("key"), client("team"), client("acme"))) == ("key", "team", "acme")
    moved = tree(client("key", moved=5), client("team", moved=9), client("acme"))
    assert counter_owners(moved) == ("key\n9", "team\n9", "acme")
    assert counter_owners([client("acme", moved=7)]) == ("acme\n7",)


STATUSES = st.sampled_from(list(ClientStatus))
RECORDS = st.builds(
    lambda plan, status, tags: client("", plan=plan, status=status, tags=tags),
    st.sampled_from([None, *PLANS, "gone"]),
    STATUSES,
    st.sampled_from([(), ("vip",)]),
)


@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_a_check_selects_what_the_contract_says(records: list[ClientRecord]) -> None:
    chain = tree(*(replace(record, key=f"client-{at}") for at, record in enumerate(records)))
    expected = set()
    for level, subject in enumerate(chain):
        plan = plan_of(RULES, subject)
        for policy in POLICIES:
            applies = level == 0 if policy.plan is None else policy.plan == plan
            has_tags = set(policy.match.client_tags) <= set(subject.tags)
            contributes = level == 0 or subject.status is not ClientStatus.EXEMPT
            if applies and has_tags and contributes:
                shared = policy.partition is Partition.GLOBAL
                expected.add((policy.slug, 0 if shared else level))
    found = [(each.policy.slug, each.level) for each in select(RULES, chain[0], None, 0, ancestors=chain[1:]).policies]
    assert (set(found), len(found)) == (expected, len(expected))


def test_the_model_counts_for_the_client_whose_limit_it_is() -> None:
    counters = Counters()
    policies = selected(client("key"), client("acme", plan="pro")).policies
    for _ in range(10):
        assert counters.check(policies, 1, 0, client="key", ancestors=("acme",))[0]
    assert not counters.check(policies, 1, 0, client="other", ancestors=("acme",))[0]
    assert {key[:2] for key in counters.counters} >= {("pro-own", "acme"), ("every", "key")}
