"""Scheduled change sets whose time has come.

Servers need nothing of this: the ruleset contains the rules of every time from the publication of the schedule on.
Afterwards the rows say the same, and the history tells what happened.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import structlog
from django.db import transaction

from limits.changes.lifecycle import ChangeConflict, enter
from limits.changes.publication import publish_edits, reason_of, write_edits
from limits.configfile.reading import InvalidConfig
from limits.domain.edits import undone
from limits.models import ChangeSet, Publication
from limits.publishing import rules
from limits.publishing.planned import planned_change_sets
from limits.publishing.rules import ruleset_writer
from ratelimit_enforcer.domain.dates import moment_of
from ratelimit_enforcer.domain.validation import InvalidRuleset
from ratelimit_enforcer.store.errors import StoreError

log = structlog.get_logger(__name__)


class _Event(NamedTuple):
    """The begin or the end of a change set; at one time, ends come first."""

    at: datetime
    begins: bool
    pk: int


@transaction.atomic
def apply_due(now: int) -> list[Publication]:
    """Makes what has begun or ended by ``now`` (microseconds since 1970, by the store's clock) part of the rows, in
    order of time. Raises :class:`~limits.changes.lifecycle.ChangeConflict` if rows were changed in between without a
    publication."""
    planned = {change.pk: change for change in planned_change_sets().select_for_update()}
    events = sorted(event for change in planned.values() for event in _events(change) if event.at <= moment_of(now))
    found = [(_begin if event.begins else _end)(planned[event.pk]) for event in events]
    return [publication for publication in found if publication]


def _events(change: ChangeSet) -> Iterator[_Event]:
    if change.state == ChangeSet.State.SCHEDULED and change.publish_at is not None:
        yield _Event(change.publish_at, True, change.pk)
    if change.state != ChangeSet.State.TRIAL and change.revert_at is not None:
        yield _Event(change.revert_at, False, change.pk)


def _begin(change: ChangeSet) -> Publication | None:
    return publish_edits(change, change.author, change.user, f"{reason_of(change)} (as scheduled)")


def _end(change: ChangeSet) -> Publication | None:
    write_edits(change, undone(change.list_of_edits))
    enter(change, ChangeSet.State.REVERTED)
    return rules.record(change.author, change.user, f"Change set “{change}” reverted as scheduled.")


def apply_pending() -> None:
    """Applies what is due by the store's clock, if anything is. Does nothing while the store is unavailable: the rules
    of its time are in force there, whatever the rows say."""
    if not planned_change_sets().exists():
        return
    try:
        apply_due(ruleset_writer().now())
    except StoreError as error:
        log.warning("due_change_sets_postponed", error=str(error))
    except (ChangeConflict, InvalidConfig, InvalidRuleset) as error:
        log.error("due_change_sets_rejected", error=str(error))
