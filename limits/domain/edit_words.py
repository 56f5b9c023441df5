"""Edits in words: the place, the values, and what a change set changes in short."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from limits.domain.descriptions import limit_sentence, limits_sentence
from limits.domain.edits import LIMITS, Edit, Path, State
from ratelimit_enforcer.domain.rules import limit_from_json

_KINDS = {"plans": "Plan", "endpoints": "Endpoint", "policies": "Policy", "overrides": "Override"}
_OF_A_LIMIT = len(("section", "key", LIMITS, "label"))


def place_in_words(path: Path, *states: State) -> str:
    """“Policy search, limit 10 per hour, quota”. ``states``: the first of them with the limit says which one it is."""
    fields = list(path[2:])
    if len(path) >= _OF_A_LIMIT and path[2] == LIMITS:
        fields[:2] = [f"limit {_limit(path, states)}"]
    return ", ".join([_subject(path), *(field.replace("_", " ") for field in fields)])


def value_in_words(value: Any) -> str:
    """A value of an edit: of a field, of a limit, or of a whole item. “none” if there is none."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return limit_sentence(limit_from_json(dict(value))) if "quota" in value else _facts(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def summary(edits: Iterable[Edit], most: int = 2) -> str:
    """What edits change in short, such as “Plan gold (new), Policy search and 2 more”."""
    named: dict[str, str] = {}
    for edit in edits:
        named.setdefault(_subject(edit.path), _verb(edit))
    subjects = [f"{name}{verb}" for name, verb in named.items()]
    rest = len(subjects) - most
    return ", ".join(subjects[:most]) + (f" and {rest} more" if rest > 0 else "")


def _subject(path: Path) -> str:
    section, key = path[0], path[1]
    if section != "overrides":
        return f"{_KINDS[section]} {key}"
    whom, policy, _ = key.rsplit(" ", 2)
    return f"Override of {policy} for {whom}"


def _verb(edit: Edit) -> str:
    if len(edit.path) > len(("section", "key")):
        return ""
    return " (new)" if edit.before is None else " (removed)" if edit.after is None else ""


def _limit(path: Path, states: Iterable[State]) -> str:
    for state in states:
        item = state[path[0]].get(path[1], {}).get(LIMITS, {}).get(path[3])
        if item is not None:
            return limit_sentence(limit_from_json(dict(item)))
    return path[3]


def _facts(item: Mapping[str, Any]) -> str:
    return "; ".join(f"{name.replace('_', ' ')}: {_fact(name, value)}" for name, value in item.items())


def _fact(name: str, value: Any) -> str:
    if name == LIMITS:
        return limits_sentence(limit_from_json(dict(limit)) for limit in value.values())
    return value_in_words(value)
