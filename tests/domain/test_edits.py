"""Edits of rules: taken from two states, applied to a third one, stored and undone."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limits.domain.edits import (
    Applied,
    Conflict,
    Edit,
    apply_edits,
    edit_from_json,
    edit_to_json,
    edits_between,
    keyed_limits,
    undone,
)
from tests.support.histories import history_settings

PRO = {"name": "Pro"}
SEARCH = {
    "plan": "pro",
    "mode": "enforce",
    "limits": {"60s": {"quota": 100, "window": 60}, "3600s": {"quota": 900, "window": 3_600}},
}
LIVE = {"plans": {"pro": PRO}, "policies": {"search": SEARCH}}


def changed(path: tuple[str, ...], value: Any, state: Any = LIVE) -> Any:
    """The state with another value at this path."""
    key, *rest = path
    new = changed(tuple(rest), value, state.get(key, {})) if rest else value
    return {name: each for name, each in {**state, key: new}.items() if each is not None}


QUOTA = ("policies", "search", "limits", "60s", "quota")


@pytest.mark.parametrize(
    ("path", "after", "edit"),
    [
        (QUOTA, 200, Edit(QUOTA, 100, 200)),
        (("plans", "pro", "default"), True, Edit(("plans", "pro", "default"), None, True)),
        (QUOTA[:-1], None, Edit(QUOTA[:-1], {"quota": 100, "window": 60}, None)),
        (("plans", "free"), {"name": "Free"}, Edit(("plans", "free"), None, {"name": "Free"})),
        (("plans", "pro"), None, Edit(("plans", "pro"), PRO, None)),
        (("endpoints", "search"), {"cost": 2}, Edit(("endpoints", "search"), None, {"cost": 2})),
        (("policies", "search", "mode"), "shadow", Edit(("policies", "search", "mode"), "enforce", "shadow")),
    ],
)
def test_an_edit_is_as_small_as_what_differs(path: tuple[str, ...], after: Any, edit: Edit) -> None:
    assert edits_between(LIVE, changed(path, after)) == [edit]


def test_edits_of_other_places_are_combined() -> None:
    theirs = changed(("policies", "search", "limits", "3600s", "quota"), 1_000)
    mine = edits_between(LIVE, changed(QUOTA, 200))
    assert apply_edits(theirs, mine) == Applied(changed(QUOTA, 200, theirs), [])


def test_an_edit_that_someone_else_made_too_changes_nothing() -> None:
    after = changed(QUOTA, 200)
    assert apply_edits(after, edits_between(LIVE, after)) == Applied(after, [])


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ((QUOTA, 200), (QUOTA, 300)),
        ((QUOTA, 200), (("policies", "search"), None)),
        ((QUOTA, 200), (QUOTA[:-1], None)),
        ((("policies", "search"), None), (QUOTA, 300)),
        ((("plans", "free"), {"name": "Free"}), (("plans", "free"), {"name": "Gratis"})),
        ((("plans", "pro", "default"), True), (("plans", "pro"), None)),
    ],
)
def test_edits_of_the_same_place_conflict(mine: tuple[Any, Any], theirs: tuple[Any, Any]) -> None:
    live = changed(*theirs)
    (edit,) = edits_between(LIVE, changed(*mine))
    applied = apply_edits(live, [edit])
    assert applied.state == live
    assert [conflict.edit for conflict in applied.conflicts] == [edit]


def test_a_conflict_tells_what_was_found() -> None:
    edits = edits_between(LIVE, changed(QUOTA, 200))
    assert apply_edits(changed(QUOTA, 300), edits).conflicts == [Conflict(edits[0], 300)]


def test_the_states_themselves_are_not_changed() -> None:
    before = json.dumps(LIVE)
    added = {"name": "Free", "limits": {}}
    state = apply_edits(
        LIVE, [Edit(("plans", "free"), None, added), Edit(("plans", "free", "name"), "Free", "F")]
    ).state
    assert (json.dumps(LIVE), added["name"], state["plans"]["free"]["name"]) == (before, "Free", "F")


def test_limits_are_known_by_their_labels() -> None:
    limits = [{"quota": 1, "window": 60}, {"quota": 2, "algorithm": "calendar", "period": "day"}]
    assert list(keyed_limits(limits)) == ["60s", "day"]


VALUES = st.one_of(st.integers(0, 3), st.booleans(), st.lists(st.sampled_from("ab"), max_size=2))
ITEMS = st.dictionaries(
    st.sampled_from(["name", "mode", "limits"]),
    st.one_of(VALUES, st.dictionaries(st.sampled_from(["60s", "day"]), st.fixed_dictionaries({"quota": VALUES}))),
)
STATES = st.dictionaries(st.sampled_from(["plans", "policies"]), st.dictionaries(st.sampled_from(["a", "b"]), ITEMS))


def without_empty_sections(state: Any) -> Any:
    return {section: items for section, items in state.items() if items}


@history_settings(400)
@given(before=STATES, after=STATES)
def test_edits_turn_one_state_into_the_other_and_back(before: Any, after: Any) -> None:
    edits = [edit_from_json(json.loads(json.dumps(edit_to_json(edit)))) for edit in edits_between(before, after)]
    there = apply_edits(before, edits)
    back = apply_edits(after, undone(edits))
    assert not [*there.conflicts, *back.conflicts]
    assert without_empty_sections(there.state) == without_empty_sections(after)
    assert without_empty_sections(back.state) == without_empty_sections(before)


@history_settings(400)
@given(before=STATES, mine=STATES, theirs=STATES)
def test_each_edit_is_made_or_conflicts(before: Any, mine: Any, theirs: Any) -> None:
    edits = edits_between(before, mine)
    applied = apply_edits(theirs, edits)
    conflicting = {conflict.edit.path for conflict in applied.conflicts}
    for edit in edits:
        if edit.path not in conflicting:
            assert value_at(applied.state, edit.path) == edit.after
    untouched = edits_between(theirs, applied.state)
    assert {edit.path for edit in untouched} <= {edit.path for edit in edits} - conflicting


def value_at(state: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        state = (state or {}).get(key)
    return state
