"""Trials: how the clients in the share fare beside all others, and automatic withdrawal."""

from datetime import datetime, timedelta

import structlog
from django.db import transaction

from limits.changes.lifecycle import Actor
from limits.changes.messages import tell_author
from limits.changes.publication import withdraw
from limits.domain.alert_rules import format_percent
from limits.domain.descriptions import quantity
from limits.models import ChangeSet
from limits.monitoring.trials import MAX_PERIOD, Comparison, Hours, compare, compare_by_hour
from limits.publishing.reconciler import go_live
from ratelimit_enforcer.domain.enums import MessageKind

AUTHOR = "automatic withdrawal"
"""The author of such a publication in the history."""

MIN_REQUESTS = 100
"""With fewer requests of the clients in the share, nothing is withdrawn: a few denied ones say little."""

WINDOWS = (timedelta(hours=1), timedelta(hours=24))
"""The time whose denial rate counts: the first in which the share sent enough requests."""

log = structlog.get_logger(__name__)


def comparison(change: ChangeSet, within: timedelta = MAX_PERIOD, now: datetime | None = None) -> Comparison | None:
    """Compares the groups of a trial, as :func:`~limits.monitoring.trials.compare` does. None: it is no trial, or it
    began within this minute."""
    share = change.as_planned().share
    return compare(share, change.tried_since, within, now) if share and change.tried_since else None


def hours_of(change: ChangeSet, within: timedelta) -> tuple[Hours, Hours]:
    """Returns the hours of the clients in the share, and of all others; empty as :func:`comparison` is None."""
    share = change.as_planned().share
    return compare_by_hour(share, change.tried_since, within) if share and change.tried_since else ([], [])


def withdraw_exceeded(now: datetime | None = None) -> bool:
    """Withdraws the trial whose denial rate is above its maximum. Returns whether there was one. Concurrent calls
    withdraw it once."""
    change = ChangeSet.objects.filter(state=ChangeSet.State.TRIAL, max_denial_rate__isnull=False).first()
    found = change and _exceeding(change, now)
    if not change or not found or not _withdraw(change, found):
        return False
    go_live()
    return True


def _exceeding(change: ChangeSet, now: datetime | None) -> Comparison | None:
    """The comparison in which the denial rate is too high; None if it is not."""
    for window in WINDOWS:
        found = comparison(change, window, now)
        if found and found.shared.requests >= MIN_REQUESTS:
            return found if 100 * found.shared.denied > _maximum(change) * found.shared.requests else None
    return None


def _maximum(change: ChangeSet) -> int:
    return change.max_denial_rate or 0


@transaction.atomic
def _withdraw(change: ChangeSet, found: Comparison) -> bool:
    """Withdraws the trial, unless somebody has ended or changed it in the meantime."""
    present = ChangeSet.objects.select_for_update().get(pk=change.pk)
    before, after = ((row.state, row.tried_since, row.max_denial_rate) for row in (change, present))
    if before != after:
        return False
    reason = _reason(present, found)
    withdraw(present, Actor(AUTHOR), reason)
    tell_author(present, MessageKind.WITHDRAWN, reason)
    log.warning("trial_withdrawn", change=present.name, requests=found.shared.requests, denied=found.shared.denied)
    return True


def _reason(change: ChangeSet, found: Comparison) -> str:
    shared, others = found.shared, found.others
    return (
        f"Change set “{change}” withdrawn automatically: {format_percent(shared.denial_rate)} of "
        f"{quantity(shared.requests, 'request')} of the clients in the share were denied, and "
        f"{format_percent(others.denial_rate)} of {quantity(others.requests, 'request')} of all others. "
        f"The maximum was {_maximum(change)} %."
    )
