"""Undoing what one version of the rules changed, whatever was published since."""

from collections.abc import Mapping, Sequence
from typing import Any

from limits.changes.lifecycle import Actor, start
from limits.changes.rows import write_state
from limits.configfile.apply import all_policy_names
from limits.domain.edits import Conflict, Edit, State, apply_edits, edits_between, undone
from limits.domain.states import state_of_rules
from limits.models import ChangeSet, Publication
from limits.publishing.rules import before_and_after, read_state
from ratelimit_enforcer.domain.ruleset import Ruleset


def start_undo(publication: Publication, actor: Actor) -> ChangeSet:
    """Creates a draft that undoes what a version changed. What others changed since at the same places conflicts."""
    reason = f"Undoes version {publication.sequence}."
    return start(undo_name(publication), actor, undone(edits_of(publication)), reason)


def undo_name(publication: Publication) -> str:
    """The name of the draft that undoes a version."""
    return f"Undo version {publication.sequence}"


def edits_of(publication: Publication) -> list[Edit]:
    """What a version changed in the rules, compared with the one before it."""
    before, after = before_and_after(publication)
    return edits_between(_state_of(before), _state_of(after))


def _state_of(ruleset: Ruleset) -> State:
    """Rulesets contain neither names of policies nor reasons of overrides: those of the present are taken."""
    state = state_of_rules(ruleset, all_policy_names(), [""] * len(ruleset.segment_overrides))
    present = read_state()["overrides"]
    overrides = {key: _with_reason_of(present.get(key, {}), item) for key, item in state["overrides"].items()}
    return {**state, "overrides": overrides}


def _with_reason_of(present: Mapping[str, Any], item: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**item, "reason": present["reason"]} if "reason" in present else item


class NothingToUndo(Exception):
    """A version changed no plan, endpoint, policy or override of a segment."""


class UndoConflict(Exception):
    """Others changed since what a version changed, at the places of ``conflicts``."""

    def __init__(self, publication: Publication, conflicts: Sequence[Conflict]) -> None:
        self.conflicts = conflicts
        places = "; ".join(".".join(conflict.edit.path) for conflict in conflicts)
        super().__init__(f"Version {publication.sequence} was changed since at: {places}.")


def undo(publication: Publication) -> None:
    """Undoes in the rows what a version changed, in the caller's transaction. Raises :class:`NothingToUndo`,
    :class:`UndoConflict`, and :class:`~limits.configfile.reading.InvalidConfig` if something that would be removed is
    still used."""
    edits = undone(edits_of(publication))
    if not edits:
        raise NothingToUndo(f"Version {publication.sequence} changed no plan, endpoint, policy or segment override.")
    result = apply_edits(read_state(), edits)
    if result.conflicts:
        raise UndoConflict(publication, result.conflicts)
    write_state(result.state, {})
