"""Reads and creates change sets, and the bodies of answers about them."""

import hashlib
import json
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from api.authentication import BearerToken, invalid_token
from api.management.change_requests import ChangesPage, DraftRequest, SimulationRequest
from api.problems import KEY_REUSED, NOT_FOUND, ProblemResponse
from limits.changes.documents import start_with_document
from limits.changes.lifecycle import Actor, NotAllowedNow, applied, differences_of
from limits.domain.edits import Conflict
from limits.domain.rule_items import text_of_moment
from limits.models import ApiToken, ChangeSet, Simulation
from limits.simulation.running import start
from ratelimit_enforcer.domain.enums import Scope

KEPT = timedelta(hours=24)
"""How long an ``Idempotency-Key`` is kept."""

MAX_SIMULATIONS = 10
"""Maximum number of simulations in an answer, the newest first."""

_PUBLISHED = (ChangeSet.State.PUBLISHED, ChangeSet.State.REVERTED)
"""States of change sets that were published for all clients."""


def actor_of(token: BearerToken) -> Actor:
    """Who acts with this token: the author is the person who created it. Raises :class:`ProblemResponse` if it has been
    revoked."""
    row = ApiToken.objects.select_related("created_by").filter(digest=token.digest, revoked_at=None).first()
    if row is None:
        raise invalid_token()
    return Actor(f"token {row.name}", row.created_by, Scope.PUBLISH in row.scopes)


def find(pk: int, *, locked: bool = False) -> ChangeSet:
    """The change set with this id. ``locked``: the row is locked until the transaction ends. Raises
    :class:`ProblemResponse` if there is none."""
    rows = _rows().filter(pk=pk)
    row = (rows.select_for_update(of=("self",)) if locked else rows).first()
    if row is None:
        raise ProblemResponse(NOT_FOUND, f"There is no change set {pk}.")
    return row


def page(wanted: ChangesPage) -> list[ChangeSet]:
    """The change sets of a page, the newest first, and one more if another page follows."""
    conditions = {"pk__lt": wanted.after, "state": wanted.state}
    rows = _rows().filter(**{lookup: value for lookup, value in conditions.items() if value is not None})
    return list(rows.order_by("-pk")[: wanted.limit + 1])


def _rows() -> QuerySet[ChangeSet]:
    return ChangeSet.objects.select_related("base", "publication", "approved_by")


@transaction.atomic
def create(wanted: DraftRequest, actor: Actor, key: bytes | None) -> ChangeSet:
    """Creates a draft, or returns the one that an earlier request with the same ``key`` created. Raises
    :class:`ProblemResponse` if that request had another body, and as
    :func:`~limits.changes.documents.start_with_document` does."""
    if key is None:
        return start_with_document(wanted.name, actor, wanted.document, wanted.reason)
    digest = hashlib.sha256(json.dumps(wanted.body, sort_keys=True).encode()).hexdigest()
    earlier = _created_by(key)
    if earlier is not None and earlier.request_digest != digest:
        raise ProblemResponse(KEY_REUSED, f"The key was used for the change set “{earlier}”.")
    if earlier is not None:
        return earlier
    row = start_with_document(wanted.name, actor, wanted.document, wanted.reason)
    ChangeSet.objects.filter(pk=row.pk).update(request_key=key.hex(), request_digest=digest)
    return row


def _created_by(key: bytes) -> ChangeSet | None:
    """Locks the key until the transaction ends, so that simultaneous requests create one change set."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(key[:8], signed=True)])
    return _rows().filter(request_key=key.hex(), created_at__gt=timezone.now() - KEPT).first()


def simulate(row: ChangeSet, actor: Actor, wanted: SimulationRequest) -> None:
    """Starts a simulation, unless the same one waits or runs already. Raises
    :class:`~limits.changes.lifecycle.NotAllowedNow` for a change set that is over."""
    if row.state not in ChangeSet.UNFINISHED:
        raise NotAllowedNow(f"The change set is {row.get_state_display()}.")
    same = row.simulations.filter(begin=wanted.begin, end=wanted.end, edits=row.edits, state__in=Simulation.UNFINISHED)
    if not same.exists():
        start(row, wanted.begin, wanted.end, actor.name)


def summary(row: ChangeSet) -> dict[str, Any]:
    """What a list shows of a change set."""
    return {
        "id": row.pk,
        "name": row.name,
        "reason": row.reason,
        "state": row.state,
        "author": row.author,
        "created_at": text_of_moment(row.created_at),
        "base": row.base.sequence if row.base else None,
        "at": text_of_moment(row.publish_at),
        "until": text_of_moment(row.revert_at),
        "share": row.percent,
        "tag": row.tag or None,
        "approved_by": row.approved_by.get_username() if row.approved_by else None,
        "publication": row.publication.sequence if row.publication else None,
    }


def body(row: ChangeSet) -> dict[str, Any]:
    """Everything about a change set. Once it is published, ``differences`` are those of that version; before, those
    from the present rules."""
    simulations = {"simulations": list(map(_simulation_body, row.simulations.all()[:MAX_SIMULATIONS]))}
    if row.state in _PUBLISHED and row.publication is not None:
        return summary(row) | simulations | {"differences": row.publication.changes, "conflicts": []}
    conflicts = applied(row).conflicts
    return (
        summary(row)
        | simulations
        | {
            "differences": list(map(str, differences_of(row))),
            "conflicts": list(map(conflict_body, conflicts)),
        }
    )


def _simulation_body(row: Simulation) -> dict[str, Any]:
    return {
        "id": row.pk,
        "from": text_of_moment(row.begin),
        "to": text_of_moment(row.end),
        "state": row.state,
        "progress": row.progress,
        "outdated": row.is_outdated,
        "started_at": text_of_moment(row.created_at),
        "finished_at": text_of_moment(row.finished_at),
        "totals": row.totals or None,
        "problems": row.problems,
    }


def conflict_body(conflict: Conflict) -> dict[str, Any]:
    """A field that a change set changes from a value that it does not have."""
    edit = conflict.edit
    return {"path": ".".join(edit.path), "before": edit.before, "after": edit.after, "found": conflict.found}
