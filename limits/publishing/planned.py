"""Change sets in the ruleset besides the rows: those that begin later, that are tried on a share of the clients, and
that are undone later."""

from collections.abc import Iterator
from dataclasses import replace

from django.db.models import Q, QuerySet

from limits.domain.edits import LIMITS, Edit, Path, State
from limits.domain.planned_changes import PlannedConflict, compiled
from limits.models import ChangeSet
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.domain.validation import (
    InvalidRuleset,
    Location,
    ValidationProblem,
    ruleset_problems,
)

_DEPTH_OF_LABEL = 3
"""The position of a limit's label in a path: ``("policies", slug, "limits", label, field)``."""


def planned_change_sets() -> QuerySet[ChangeSet]:
    """The change sets of which a ruleset contains more than the rows."""
    later = Q(state=ChangeSet.State.PUBLISHED, revert_at__isnull=False)
    return ChangeSet.objects.filter(later | Q(state__in=ChangeSet.PLANNED)).order_by("pk")


def with_planned_changes(ruleset: Ruleset, state: State) -> Ruleset:
    """The ruleset with the variants of all planned change sets. ``state``: that of the same rules. Raises
    :class:`~ratelimit_enforcer.domain.validation.InvalidRuleset` if one of them does not apply, or if the rules with it
    are invalid."""
    result = compiled(state, [change.as_planned() for change in planned_change_sets()])
    if problems := [_problem_of(conflict, state) for conflict in result.conflicts]:
        raise InvalidRuleset(problems)
    planned = replace(ruleset, variants=result.variants, share=result.share)
    if problems := list(_problems_of_variants(planned)):
        raise InvalidRuleset(problems)
    return planned


def _problem_of(conflict: PlannedConflict, state: State) -> ValidationProblem:
    edit, found = conflict.conflict
    return ValidationProblem(
        location_of(edit.path, state),
        f"change set “{conflict.change}” changes {_described(edit)}, and found {_value(found)}: withdraw it first.",
    )


def location_of(path: Path, state: State) -> Location:
    """A path as the location of a problem, in which limits have positions."""
    if len(path) <= _DEPTH_OF_LABEL or path[2] != LIMITS:
        return path
    section, key, _, label, *rest = path
    labels = list(state[section].get(key, {}).get(LIMITS, {}))
    return (section, key, LIMITS, labels.index(label), *rest) if label in labels else path


def _described(edit: Edit) -> str:
    return f"{_value(edit.before)} to {_value(edit.after)}"


def _value(value: object) -> str:
    if value is None:
        return "nothing"
    return "an item" if isinstance(value, dict) else f"“{value}”"


def _problems_of_variants(ruleset: Ruleset) -> Iterator[ValidationProblem]:
    for variant in ruleset.variants:
        rules = replace(ruleset.with_rules(variant.rules), tokens=(), blocks=())
        for problem in ruleset_problems(rules):
            message = f"with the planned change sets{f' and “{variant.change}”' if variant.change else ''}: "
            yield ValidationProblem(problem.location, message + problem.message)
