"""Change sets that are scheduled, or tried on a share of the clients, compiled into the variants of one ruleset."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from limits.domain.edits import Conflict, Edit, State, apply_edits, undone
from limits.domain.states import rules_of_state
from ratelimit_enforcer.domain.variants import Share, Variant


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """A change set that is not part of the rows. ``at``, ``until``: when it begins and is undone (microseconds since
    1970; None: never). ``share``: the clients on which it is tried, from now on; it has no dates then."""

    name: str
    edits: Sequence[Edit]
    at: int | None = None
    until: int | None = None
    share: Share | None = None


class PlannedConflict(NamedTuple):
    """An edit of a change set that does not apply to the rules of its time."""

    change: str
    conflict: Conflict


class Compiled(NamedTuple):
    """``conflicts`` is empty if all change sets apply to the rules."""

    variants: tuple[Variant, ...]
    share: Share | None
    conflicts: Sequence[PlannedConflict]


class _Step(NamedTuple):
    """Edits that are made at one time. ``change``: the change set that decides from then on; empty: none."""

    at: int
    name: str
    edits: Sequence[Edit]
    change: str


def compiled(state: State, changes: Sequence[PlannedChange]) -> Compiled:
    """The variants for these change sets, at most one of them with a share, on the rules of ``state``."""
    conflicts: list[PlannedConflict] = []

    def edited(state: State, name: str, edits: Sequence[Edit]) -> State:
        applied = apply_edits(state, edits)
        conflicts.extend(PlannedConflict(name, conflict) for conflict in applied.conflicts)
        return applied.state

    def shared(state: State, at: int | None) -> Iterator[Variant]:
        if trial is not None:
            yield Variant(rules_of_state(edited(state, trial.name, trial.edits)), trial.name, at, shared=True)

    trial = next((change for change in changes if change.share), None)
    variants = list(shared(state, None))
    for step in _steps(changes):
        state = edited(state, step.name, step.edits)
        variants += [Variant(rules_of_state(state), step.change, step.at), *shared(state, step.at)]
    return Compiled(tuple(variants), trial.share if trial else None, conflicts)


def _steps(changes: Sequence[PlannedChange]) -> Iterator[_Step]:
    """The begins and ends of all scheduled change sets in order of time; at one time, ends come first."""
    begins = [(change.at, 1, change) for change in changes if change.at is not None]
    ends = [(change.until, 0, change) for change in changes if change.until is not None]
    begun: list[str] = []
    for at, is_begin, change in sorted([*begins, *ends], key=lambda step: (step[0], step[1], step[2].name)):
        if is_begin:
            begun.append(change.name)
        elif change.name in begun:
            begun.remove(change.name)
        edits = change.edits if is_begin else undone(change.edits)
        yield _Step(at, change.name, edits, begun[-1] if begun else "")
