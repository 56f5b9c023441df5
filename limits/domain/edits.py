"""Edits of rules: what differs between two states, as values that can be stored, applied to a third state, and undone.

A state is nested dicts: section → key of an item → field → value; lists of limits are dicts as well, by label
(:func:`keyed_limits`), so that two people may edit different limits of one policy. Everything else is a value. None
and a missing key are the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ratelimit_enforcer.domain.rules import limit_from_json

State = Mapping[str, Any]
Path = tuple[str, ...]

LIMITS = "limits"


class Edit(NamedTuple):
    """The value at ``path`` changes from ``before`` to ``after``; None: there is no value."""

    path: Path
    before: Any
    after: Any

    @property
    def inverse(self) -> "Edit":
        """The edit that undoes this one."""
        return Edit(self.path, self.after, self.before)


class Conflict(NamedTuple):
    """An edit that does not apply to a state, which has another value at that place: ``found``."""

    edit: Edit
    found: Any


class Applied(NamedTuple):
    """A state after edits, without those that conflict with it."""

    state: dict[str, Any]
    conflicts: Sequence[Conflict]


def edits_between(before: State, after: State) -> list[Edit]:
    """The edits that turn one state into another, at the deepest places that differ. An item that is in only one of
    them is added or removed as a whole."""
    return list(_edits(before, after, ()))


def _edits(before: State, after: State, path: Path) -> Iterator[Edit]:
    for key in [*before, *(key for key in after if key not in before)]:
        was, becomes, at = before.get(key), after.get(key), (*path, key)
        # The sections themselves are always there.
        if (isinstance(was, Mapping) and isinstance(becomes, Mapping)) or not path:
            yield from _edits(was or {}, becomes or {}, at)
        elif was != becomes:
            yield Edit(at, was, becomes)


def apply_edits(state: State, edits: Iterable[Edit]) -> Applied:
    """The state after these edits. An edit that is already made changes nothing; one whose place has neither its value
    before nor its value after conflicts."""
    result, conflicts = _copy(state), []
    for edit in edits:
        found = _value_at(result, edit.path)
        if found == edit.before and _has_place(result, edit.path):
            _set(result, edit.path, edit.after)
        elif found != edit.after:
            conflicts.append(Conflict(edit, found))
    return Applied(result, conflicts)


def undone(edits: Sequence[Edit]) -> list[Edit]:
    """The edits that undo these."""
    return [edit.inverse for edit in reversed(edits)]


def keyed_limits(limits: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A list of limits as in the config file → label → limit. Raises as
    :func:`~ratelimit_enforcer.domain.rules.limit_from_json` does."""
    complete = ({"algorithm": "sliding_window", **limit} for limit in limits)
    return {limit_from_json(limit).label: dict(limit) for limit in complete}


def edit_to_json(edit: Edit) -> dict[str, Any]:
    """An edit as it is stored."""
    return {"path": list(edit.path), "before": edit.before, "after": edit.after}


def edit_from_json(item: Mapping[str, Any]) -> Edit:
    """Parses the object that :func:`edit_to_json` returned."""
    return Edit(tuple(item["path"]), item["before"], item["after"])


def _copy(state: State) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in state.items()}


def _value_at(state: Any, path: Path) -> Any:
    for key in path:
        state = state.get(key) if isinstance(state, Mapping) else None
    return state


def _has_place(state: State, path: Path) -> bool:
    """Whether the item of a field still exists; a whole item has a place in its section."""
    return len(path) <= len(("section", "key")) or isinstance(_value_at(state, path[:-1]), Mapping)


def _set(state: dict[str, Any], path: Path, value: Any) -> None:
    for key in path[:-1]:
        state = state.setdefault(key, {})
    if value is None:
        state.pop(path[-1], None)
    else:
        state[path[-1]] = _copy(value) if isinstance(value, Mapping) else value
