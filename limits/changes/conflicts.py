"""Drafts that others publish over: their authors are notified once of each conflict."""

from collections.abc import Sequence

from django.db import transaction

from limits.changes.lifecycle import applied, newest_publication
from limits.changes.messages import tell_author
from limits.domain.edit_words import place_in_words, value_in_words
from limits.domain.edits import Conflict, State
from limits.models import ChangeSet, Publication
from limits.publishing.rules import read_state
from ratelimit_enforcer.domain.enums import MessageKind


def report_conflicts() -> int:
    """Compares each draft with what was published since it was compared last, and notifies its author of new conflicts.
    Returns the number of notified authors. Concurrent calls notify each of them once."""
    newest = newest_publication()
    if newest is None:
        return 0
    drafts = ChangeSet.objects.filter(state__in=ChangeSet.EDITABLE)
    behind = drafts.exclude(compared_with=newest.sequence).values_list("pk", flat=True)
    return sum(_compare(pk, newest) for pk in list(behind))


@transaction.atomic
def _compare(pk: int, newest: Publication) -> bool:
    """Whether the author was notified of new conflicts."""
    change = ChangeSet.objects.select_for_update().get(pk=pk)
    if change.state not in ChangeSet.EDITABLE or change.compared_with == newest.sequence:
        return False
    live = read_state()
    conflicts = applied(change, live).conflicts
    present = [f"{'.'.join(conflict.edit.path)}: {conflict.found}" for conflict in conflicts]
    new = [conflict for conflict, key in zip(conflicts, present, strict=True) if key not in change.known_conflicts]
    # No record in the history: nobody changed the draft.
    ChangeSet.objects.filter(pk=pk).update(compared_with=newest.sequence, known_conflicts=present)
    return bool(new) and _notify(change, newest, new, live)


def _notify(change: ChangeSet, newest: Publication, conflicts: Sequence[Conflict], live: State) -> bool:
    what = (
        "Others published changes at places that your draft changes too. Nothing is lost: on its page, choose a value "
        f"for each of them. The newest version is {newest.sequence}, by {newest.author}."
    )
    return tell_author(change, MessageKind.CONFLICT, what, [_line(conflict, live) for conflict in conflicts])


def _line(conflict: Conflict, live: State) -> str:
    edit, found = conflict
    values = f"from {value_in_words(edit.before)} to {value_in_words(edit.after)}"
    return f"{place_in_words(edit.path, live)}: your draft {values}, now {value_in_words(found)}."
