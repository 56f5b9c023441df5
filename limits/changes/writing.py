"""One change of rows by a program: published at once, or proposed where another person has to approve it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import OperationalError, connection, transaction
from django.db.models import Model
from psycopg.errors import LockNotAvailable

from limits.changes.drafts import Recording, propose
from limits.changes.due import apply_pending
from limits.changes.lifecycle import Actor
from limits.configfile.apply import described, problems_at_positions, write_rows
from limits.configfile.document import Document
from limits.domain.edits import edit_to_json
from limits.models import (
    AlertRule,
    Block,
    ChangeSet,
    Endpoint,
    Override,
    OverrideLimit,
    Plan,
    Policy,
    PolicyLimit,
    Publication,
    Route,
    SegmentOverride,
    SegmentOverrideLimit,
)
from limits.models.history import change_reason, written_by
from limits.publishing import rules

RULE_TABLES: tuple[type[Model], ...] = (
    *(Plan, Endpoint, Route, Policy, PolicyLimit, SegmentOverride, SegmentOverrideLimit, Block),
    *(Override, OverrideLimit, AlertRule),
)
"""The tables that a write may change, except for clients."""

_DEADLINE_SECONDS, _PAUSE_SECONDS = 5.0, 0.02


@dataclass(frozen=True, slots=True)
class Written:
    """``value``: what the change returned. ``differences``: what it changes, one sentence each; None: not described.
    ``change``: the change set that awaits approval in place of the change; None: the rows are changed, or it was a dry
    run. ``publication``: the new version of the rules; None: they are unchanged."""

    value: Any
    differences: list[str] | None = None
    change: ChangeSet | None = None
    publication: Publication | None = None


def write(
    change: Callable[[], Any],
    actor: Actor,
    reason: str,
    *,
    dry_run: bool = False,
    describe: bool = False,
    tables: Sequence[type[Model]] = (),
    remember: Callable[[Written], None] | None = None,
) -> Written:
    """Runs ``change``, which changes rows, and records a publication, in one transaction, which has the lock of
    publications from its beginning: ``change`` may check a precondition first, and raise. Where the actor needs
    approval, a change of rules becomes a change set that awaits it; overrides of one client, blocks and alert rules
    need none. Raises what ``change`` raises, and :class:`~ratelimit_enforcer.domain.validation.InvalidRuleset`.

    ``dry_run``: everything is undone. ``describe``: with the differences, which a dry run always has. ``tables``:
    nobody else writes to them meanwhile, which the lock of publications alone does not prevent. ``remember`` runs at
    the end of the transaction, unless it is a dry run.

    Nothing is delivered: do that afterwards, with :func:`~limits.configfile.apply.deliver`.
    """
    apply_pending()
    with transaction.atomic():
        _lock([*RULE_TABLES, *(table for table in tables if table not in RULE_TABLES)])
        rules.lock_publications()
        written, recording = _try(change, actor, reason, dry_run=dry_run, describe=describe)
        if recording is not None:
            written = replace(written, change=_proposed(recording, actor, reason))
        if remember is not None and not dry_run:
            remember(written)
    return written


def write_document(
    document: Document,
    actor: Actor,
    reason: str,
    *,
    prune: bool = False,
    precondition: Callable[[], None] = lambda: None,
    **options: Any,
) -> Written:
    """Applies a config file as :func:`write` does, and describes it. ``prune``: rules, overrides, blocks and alert
    rules that its sections do not name are removed, and never clients. ``precondition`` is checked under the locks, and
    may raise. Raises :class:`~limits.configfile.reading.InvalidConfig`, with positions in the file."""

    def change() -> None:
        precondition()
        write_rows(document, prune=prune)

    with problems_at_positions(document):
        return write(change, actor, reason, describe=True, **options)


def _lock(tables: Sequence[type[Model]]) -> None:
    """Other transactions can read the tables until this one ends, but not write to them.

    A save of the admin writes rows first, and takes the lock of publications last. Whoever takes that lock first must
    not wait for rows afterwards; and while this waits for some tables, it must not have others.
    """
    names = ", ".join(model._meta.db_table for model in tables)
    end = time.monotonic() + _DEADLINE_SECONDS
    while not _is_locked(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE NOWAIT"):
        if time.monotonic() > end:
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")
            return
        time.sleep(_PAUSE_SECONDS)


def _is_locked(statement: str) -> bool:
    """Tries to lock all tables or none. Returns whether it succeeded."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except OperationalError as error:
        if isinstance(error.__cause__, LockNotAvailable):
            return False
        raise
    return True


def _try(
    change: Callable[[], Any], actor: Actor, reason: str, *, dry_run: bool, describe: bool
) -> tuple[Written, Recording | None]:
    """The recording is what has to be approved, in place of the change, which is undone; None: nothing."""
    with transaction.atomic(), written_by(actor.user), change_reason(actor.name):
        recording = Recording() if actor.needs_approval and not dry_run else None
        written = _described(change) if dry_run or describe else Written(change())
        if recording is not None:
            recording.finish()
        publication = rules.record(actor.name, actor.user, reason)
        proposed = recording if recording is not None and recording.edits else None
        if dry_run or proposed is not None:
            transaction.set_rollback(True)
            publication = None
    return replace(written, publication=publication), proposed


def _described(change: Callable[[], Any]) -> Written:
    values: list[Any] = []
    differences = described(lambda: values.append(change()))
    return Written(values[0], differences)


def _proposed(recording: Recording, actor: Actor, reason: str) -> ChangeSet:
    """The change set for what was recorded, which may exist already: a program may send a request again."""
    edits = [edit_to_json(edit) for edit in recording.edits]
    states = (ChangeSet.State.AWAITING, ChangeSet.State.APPROVED)
    earlier = ChangeSet.objects.filter(author=actor.name, state__in=states, edits=edits).first()
    return earlier or propose(recording, actor, reason)
