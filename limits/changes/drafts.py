"""Pages that work on a draft: the rows of one transaction, which is rolled back.

While the transaction is open, the tables contain the rules of the draft, so every list, form and check of a page works
on them as on the live rules. Afterwards the difference to the live rules is what the draft consists of.

The transaction holds the locks of the rows that the draft changes: a publication waits for one page at most.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from django.utils import timezone

from limits.changes.lifecycle import Actor, ChangeConflict, newest_publication, start, submit
from limits.changes.rows import Ids, read_ids, write_state
from limits.domain.edits import Edit, State, apply_edits, edits_between
from limits.models import ChangeSet
from limits.publishing.rules import read_state
from ratelimit_enforcer.domain.dates import date_and_time

_MAX_SHOWN_NAME = 40


class Recording:
    """What is changed in the rules from its creation to :meth:`finish`, in one transaction."""

    def __init__(self, before: State | None = None, live_ids: Ids | None = None) -> None:
        """By default, the rules are those in the tables now, and so are the rows that are live."""
        self._before = read_state() if before is None else before
        self._live_ids = read_ids() if live_ids is None else live_ids
        self.edits: list[Edit] = []
        self.ids: Ids = {}

    def finish(self) -> None:
        """Reads what was changed: ``edits``, and the primary keys of new rows, ``ids``."""
        self.edits = edits_between(self._before, read_state())
        self.ids = _new_ids(read_ids(), self._live_ids) if self.edits else {}


@contextmanager
def opened(change: ChangeSet) -> Iterator[Recording]:
    """Opens a draft for the time of one page. What is written inside is rolled back. Raises
    :class:`~limits.changes.lifecycle.ChangeConflict`, and :class:`~limits.configfile.reading.InvalidConfig` if a row
    that the draft removes is used by now."""
    with transaction.atomic():
        result = apply_edits(read_state(), change.list_of_edits)
        if result.conflicts:
            raise ChangeConflict(change, result.conflicts)
        live_ids = read_ids()
        write_state(result.state, change.ids)
        yield Recording(result.state, live_ids)
        transaction.set_rollback(True)


@transaction.atomic
def save(draft: ChangeSet, recording: Recording) -> ChangeSet:
    """Adds what was recorded to a draft, which withdraws an approval. Others may have saved in the meantime: raises
    :class:`~limits.changes.lifecycle.ChangeConflict` if they changed the same."""
    change = ChangeSet.objects.select_for_update().get(pk=draft.pk)
    live = read_state()
    present = apply_edits(live, change.list_of_edits)
    result = apply_edits(present.state, recording.edits)
    if conflicts := [*present.conflicts, *result.conflicts]:
        raise ChangeConflict(change, conflicts)
    change.set_edits(edits_between(live, result.state))
    change.ids = {table: {**change.ids.get(table, {}), **ids} for table, ids in recording.ids.items()}
    change.base = newest_publication()
    change.save()
    return change


@transaction.atomic
def propose(recording: Recording, actor: Actor, reason: str) -> ChangeSet:
    """Creates a change set with what was recorded, which awaits approval."""
    change = start(_unused_name(actor), actor, recording.edits, reason)
    change.ids = recording.ids
    change.save()
    submit(change)
    return change


def _unused_name(actor: Actor) -> str:
    """Such as “ada, 28 November 2026 09:41 UTC”; a number follows if that is taken."""
    name = f"{actor.name[:_MAX_SHOWN_NAME]}, {date_and_time(timezone.now())}"
    taken = set(ChangeSet.objects.filter(name__startswith=name).values_list("name", flat=True))
    return next(each for each in (name, *(f"{name} ({at})" for at in range(2, len(taken) + 3))) if each not in taken)


def _new_ids(ids: Ids, live: Ids) -> Ids:
    """The primary keys of rows that exist in the draft only."""
    return {table: {name: pk for name, pk in rows.items() if name not in live[table]} for table, rows in ids.items()}
