"""Change sets that go live: at once, at a time, or first for a share of the clients.

Each function is one transaction, which records a publication; the caller delivers it after the commit, with
:func:`~limits.publishing.reconciler.go_live`.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import transaction
from django.utils import timezone

from limits.changes.lifecycle import Actor, ChangeConflict, NotAllowedNow, applied, enter, require_state
from limits.changes.rows import write_state
from limits.domain.edits import Edit, apply_edits
from limits.domain.share_rules import share_problems
from limits.models import ChangeSet, Publication
from limits.publishing import rules
from limits.publishing.planned import planned_change_sets
from limits.publishing.rules import read_state

MAX_PENDING_DATES = 8
"""Maximum number of times at which planned change sets begin or end."""


@transaction.atomic
def publish(change: ChangeSet, actor: Actor) -> Publication | None:
    """Publishes for all clients, from a draft or at the end of a trial. Returns None if nothing changes. Raises
    :class:`NotAllowedNow`, :class:`ChangeConflict`, :class:`~ratelimit_enforcer.domain.validation.InvalidRuleset`, and
    :class:`~limits.configfile.reading.InvalidConfig` if a removed row is still used."""
    _require_publishable(change, actor, also=ChangeSet.State.TRIAL)
    change.publish_at = change.revert_at = None
    return publish_edits(change, actor.name, actor.user, reason_of(change))


@transaction.atomic
def schedule(change: ChangeSet, actor: Actor, at: datetime, until: datetime | None = None) -> Publication | None:
    """Publishes for all clients at a time of the store's clock, and undoes it at another. Raises ``ValidationError``
    with the field, and as :func:`publish` does."""
    _require_publishable(change, actor)
    change.publish_at, change.revert_at = at, until
    change.state = ChangeSet.State.SCHEDULED
    _validate_dates(change)
    return _record_planned(change, actor, "scheduled")


@transaction.atomic
def try_on(
    change: ChangeSet, actor: Actor, *, percent: int | None = None, tag: str = "", max_denial_rate: int | None = None
) -> Publication | None:
    """Publishes for a share of the clients, or changes the share of a trial. Raises ``ValidationError`` with the field,
    and as :func:`publish` does."""
    _require_publishable(change, actor, also=ChangeSet.State.TRIAL)
    if change.state != ChangeSet.State.TRIAL or (change.percent, change.tag) != (percent, tag):
        change.tried_since = timezone.now()
    change.percent, change.tag, change.max_denial_rate = percent, tag, max_denial_rate
    change.publish_at = change.revert_at = None
    change.state = ChangeSet.State.TRIAL
    _validate_share(change)
    return _record_planned(change, actor, f"tried on {change.as_planned().share}")


@transaction.atomic
def withdraw(change: ChangeSet, actor: Actor, reason: str = "") -> Publication | None:
    """Ends a schedule or a trial. Raises :class:`NotAllowedNow`."""
    require_state(change, ChangeSet.PLANNED, "Only a change set that is scheduled or being tried can be withdrawn.")
    change.state = ChangeSet.State.WITHDRAWN
    change.save()
    return rules.record(actor.name, actor.user, reason or f"Change set “{change}” withdrawn.")


def publish_edits(change: ChangeSet, author: str, user: User | None, reason: str) -> Publication | None:
    """Makes the edits part of the rows. Raises as :func:`publish` does."""
    write_edits(change, change.list_of_edits)
    enter(change, ChangeSet.State.PUBLISHED)
    change.publication = rules.record(author, user, reason)
    change.save()
    return change.publication


def write_edits(change: ChangeSet, edits: Iterable[Edit]) -> None:
    """Applies edits to the rows. Raises :class:`~limits.changes.lifecycle.ChangeConflict`."""
    result = apply_edits(read_state(), edits)
    if result.conflicts:
        raise ChangeConflict(change, result.conflicts)
    write_state(result.state, change.ids)


def _record_planned(change: ChangeSet, actor: Actor, what: str) -> Publication | None:
    if conflicts := applied(change).conflicts:
        raise ChangeConflict(change, conflicts)
    change.save()
    change.publication = rules.record(actor.name, actor.user, f"{reason_of(change)} ({what})")
    change.save()
    return change.publication


def reason_of(change: ChangeSet) -> str:
    """The reason for the history."""
    return change.reason or f"Change set “{change}”."


def _require_publishable(change: ChangeSet, actor: Actor, also: Any = None) -> None:
    states = (*ChangeSet.EDITABLE, *([also] if also else []))
    require_state(change, states, f"The change set is {change.get_state_display()}.")
    if not change.edits:
        raise NotAllowedNow("The change set contains no edits.")
    if actor.needs_approval and change.approved_at is None:
        raise NotAllowedNow("Another person has to approve this change set first.")


def _validate_dates(change: ChangeSet) -> None:
    if change.publish_at is not None and change.publish_at <= timezone.now():
        raise ValidationError({"publish_at": "This time has passed."})
    if change.revert_at and change.publish_at and change.revert_at <= change.publish_at:
        raise ValidationError({"revert_at": "The change set would be reverted before it is published."})
    others = planned_change_sets().exclude(pk=change.pk)
    if sum(map(_pending_dates, [*others, change])) > MAX_PENDING_DATES:
        raise ValidationError({"publish_at": f"At most {MAX_PENDING_DATES} dates of change sets may be pending."})


def _pending_dates(change: ChangeSet) -> int:
    begins = change.state == ChangeSet.State.SCHEDULED
    return begins + (change.revert_at is not None)


def _validate_share(change: ChangeSet) -> None:
    if (change.percent is None) == (not change.tag):
        raise ValidationError({"percent": "Choose either a share of the clients or a tag."})
    if change.percent is not None and not 1 <= change.percent <= 99:
        raise ValidationError({"percent": "A share has 1 to 99 %."})
    if ChangeSet.objects.filter(state=ChangeSet.State.TRIAL).exclude(pk=change.pk).exists():
        raise ValidationError({"percent": "Another change set is being tried on a share of the clients."})
    live = read_state()
    if problems := list(share_problems(live, applied(change, live).state)):
        raise ValidationError({NON_FIELD_ERRORS: problems})
