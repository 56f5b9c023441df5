"""Scheduled change sets and one that is tried on a share of the clients, as variants of one ruleset."""

from typing import Any

import pytest

from limits.domain.edits import edits_between
from limits.domain.planned_changes import PlannedChange, compiled
from limits.domain.states import rules_of_state, state_of_data
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.domain.variants import Share

PILOT = Share("pilot", "salt", tag="pilot")
OTHERS, PILOTS = ClientRecord("acme", 1), ClientRecord("bee", 1, tags=("pilot",))


def state(search: int = 10, orders: int = 20) -> Any:
    policies = [{"slug": slug, "limits": [{"quota": quota, "window": 60}]} for slug, quota in quotas(search, orders)]
    return state_of_data({"plans": [{"slug": "free", "default": True}], "policies": policies})


def quotas(search: int, orders: int) -> list[tuple[str, int]]:
    return [("search", search), ("orders", orders)]


LIVE = state()


def change(name: str, after: Any, **when: Any) -> PlannedChange:
    return PlannedChange(name, edits_between(LIVE, after), **when)


def applying(changes: list[PlannedChange], now: int, root: ClientRecord = OTHERS) -> tuple[int, int, str]:
    """The quotas of orders and search, and the change set that decides."""
    found = compiled(LIVE, changes)
    assert found.conflicts == []
    rules = rules_of_state(LIVE)
    ruleset = Ruleset(**vars(rules), variants=found.variants, share=found.share)
    variant = ruleset.variant_for(root, now)
    orders, search = [policy.limits[0].quota for policy in (variant.rules if variant else rules).policies]
    return orders, search, variant.change if variant else ""


def test_nothing_planned_leaves_one_set_of_rules() -> None:
    assert compiled(LIVE, []) == ((), None, [])


def test_a_change_begins_and_is_undone() -> None:
    changes = [change("monday", state(11), at=100, until=200)]
    assert [applying(changes, now) for now in (99, 100, 199, 200)] == [
        (20, 10, ""),
        (20, 11, "monday"),
        (20, 11, "monday"),
        (20, 10, ""),
    ]


def test_the_end_of_a_change_undoes_only_that_change() -> None:
    changes = [change("monday", state(11), at=100, until=300), change("tuesday", state(orders=21), at=200)]
    assert [applying(changes, now) for now in (100, 200, 300)] == [
        (20, 11, "monday"),
        (21, 11, "tuesday"),
        (21, 10, "tuesday"),
    ]


def test_a_share_has_its_own_rules_at_each_time() -> None:
    changes = [change("pilot", state(15), share=PILOT), change("monday", state(orders=21), at=100)]
    assert [applying(changes, now, PILOTS) for now in (0, 100)] == [(20, 15, "pilot"), (21, 15, "pilot")]
    assert [applying(changes, now) for now in (0, 100)] == [(20, 10, ""), (21, 10, "monday")]


@pytest.mark.parametrize(
    "changes",
    [
        [change("monday", state(11), at=100), change("tuesday", state(12), at=200)],
        [change("pilot", state(11), share=PILOT), change("tuesday", state(12), at=200)],
    ],
)
def test_a_conflict_names_the_change_set_and_the_field(changes: list[PlannedChange]) -> None:
    (found,) = compiled(LIVE, changes).conflicts
    assert found.change == ("tuesday" if changes[0].at else "pilot")
    assert found.conflict.edit.path == ("policies", "search", "limits", "60s", "quota")


def test_what_begins_when_something_else_ends_does_not_conflict() -> None:
    changes = [change("monday", state(11), at=100, until=200), change("tuesday", state(12), at=200)]
    assert applying(changes, 200) == (20, 12, "tuesday")
