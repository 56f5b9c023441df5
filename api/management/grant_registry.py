"""Reads and changes grants, and the bodies of answers about them."""

import hashlib
import json
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from api.management.change_registry import KEPT
from api.management.grant_requests import GrantFields, GrantsPage
from api.problems import KEY_REUSED, NOT_FOUND, ProblemResponse
from api.requests import invalid
from limits.domain.rule_items import moment_of_text, text_of_moment
from limits.models import Client, Grant, Policy
from limits.models.grants import GrantFigures

_NAMES = {"starts_at": "from", "ends_at": "until", NON_FIELD_ERRORS: "from"}
"""Columns of a grant → the fields of requests in which they are set."""


def page(wanted: GrantsPage) -> list[Grant]:
    """The grants of a page, in the order of their ids, and one more if another page follows."""
    conditions = {"client__key": wanted.client, "policy__slug": wanted.policy, "pk__gt": wanted.after}
    rows = _rows().filter(**{lookup: value for lookup, value in conditions.items() if value is not None})
    return list(rows.order_by("pk")[: wanted.limit + 1])


def find(pk: int, *, locked: bool = False) -> Grant:
    """The grant with this id. ``locked``: the row is locked until the transaction ends. Raises
    :class:`ProblemResponse` if there is none."""
    rows = Grant.objects.select_related("client", "policy").select_for_update(of=("self",)) if locked else _rows()
    row = rows.filter(pk=pk).first()
    if row is None:
        raise ProblemResponse(NOT_FOUND, f"There is no grant {pk}.")
    return row


def _rows() -> QuerySet[Grant]:
    return Grant.objects.select_related("client", "policy", "total")


@transaction.atomic
def create(wanted: GrantFields, author: str, key: bytes | None) -> Grant:
    """Creates a grant, or returns the one that an earlier request with the same ``key`` created. Raises
    :class:`ProblemResponse` for invalid fields, and if that request had another body."""
    digest = hashlib.sha256(json.dumps(wanted.body, sort_keys=True).encode()).hexdigest() if key else ""
    if key is not None and (earlier := _created_by(key)) is not None:
        if earlier.request_digest != digest:
            raise ProblemResponse(KEY_REUSED, f"The key was used for the grant {earlier.pk}.")
        return earlier
    given = wanted.identity
    row = Grant(client=_client(given["client"]), policy=_policy(given["policy"]), author=author)
    row.starts_at = moment_of_text(given.get("from")) or timezone.now()
    row.request_key, row.request_digest = (key.hex(), digest) if key else (None, "")
    if wanted.until <= timezone.now():
        raise invalid({"until": ["must be in the future."]})
    return _save(row, wanted)


def _created_by(key: bytes) -> Grant | None:
    """Locks the key until the transaction ends, so that simultaneous requests create one grant."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(key[:8], signed=True)])
    rows = _rows().filter(request_key=key.hex())
    rows.filter(created_at__lte=timezone.now() - KEPT).update(request_key=None)
    return rows.first()


def change(pk: int, wanted: GrantFields) -> Grant:
    """Changes amount, end, priority and reason, inside the caller's transaction. Raises :class:`ProblemResponse`."""
    row = find(pk, locked=True)
    present = {"client": row.client.key, "policy": row.policy.slug, "from": row.starts_at}
    sent = wanted.identity | ({"from": moment_of_text(wanted.identity["from"])} if "from" in wanted.identity else {})
    fixed = [name for name, value in sent.items() if value != present[name]]
    if fixed:
        raise invalid({name: ["cannot be changed: create another grant."] for name in fixed})
    return _save(row, wanted)


def _save(row: Grant, wanted: GrantFields) -> Grant:
    row.amount, row.ends_at, row.priority, row.reason = wanted.amount, wanted.until, wanted.priority, wanted.reason
    try:
        row.full_clean()
    except ValidationError as error:
        raise invalid({_NAMES.get(name, name): found for name, found in error.message_dict.items()}) from error
    row.save()
    return row


def _client(key: str) -> Client:
    row = Client.objects.filter(key=key).first()
    if row is None:
        raise invalid({"client": [f"There is no registered client “{key}”."]})
    return row


def _policy(slug: str) -> Policy:
    row = Policy.objects.filter(slug=slug).first()
    if row is None:
        raise invalid({"policy": [f"There is no policy “{slug}”."]})
    return row


def body(row: Grant) -> dict[str, Any]:
    """What an answer shows of a grant: the fields of the config file, and what was used."""
    figures, state = figures_of(row), row.state()
    return {
        "id": row.pk,
        "client": row.client.key,
        "policy": row.policy.slug,
        "amount": row.amount,
        "from": text_of_moment(row.starts_at),
        "until": text_of_moment(row.ends_at),
        "priority": row.priority,
        "reason": row.reason,
        "state": state,
        "consumed": figures.consumed,
        "returned": figures.returned,
        "remaining": 0 if state == "ended" else figures.remaining_of(row.amount),
        "author": row.author,
        "created_at": text_of_moment(row.created_at),
    }


def figures_of(row: Grant) -> GrantFigures:
    """What was used, from the sum that was read with the row."""
    total = getattr(row, "total", None)
    return GrantFigures(total.consumed, total.returned) if total else GrantFigures()
