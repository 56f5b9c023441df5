"""Reads, writes and deletes single objects of the config file, and the bodies of answers about them."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from rest_framework.request import Request

from api.authentication import token_of
from api.management.change_registry import actor_of
from api.management.object_requests import ObjectsPage, require_preconditions
from api.problems import KEY_REUSED, NOT_FOUND, ProblemResponse
from limits.changes.writing import Written, write
from limits.configfile.objects import Kind
from limits.models import CreatingRequest
from limits.models.requests import KEPT


@dataclass(frozen=True, slots=True)
class Saved:
    """``row``: the object after the write; None: it awaits approval, or was deleted. ``item``: its fields."""

    item: dict[str, Any]
    row: Any
    is_new: bool


class _DoneBefore(Exception):
    """An earlier request with the same key is what this one repeats."""

    def __init__(self, request: CreatingRequest) -> None:
        self.request = request
        super().__init__(request.key)


def body(kind: Kind, row: Any) -> dict[str, Any]:
    """The fields of an object, with its id if the platform assigned one."""
    item = kind.shown(row)
    return {"id": kind.key_of(row), **item} if kind.identity == "id" else item


def find(kind: Kind, key: str) -> Any:
    """The row with this name or id. Raises :class:`ProblemResponse` (404)."""
    row = kind.find(key)
    if row is None:
        raise _unknown(kind, key)
    return row


def _unknown(kind: Kind, key: str) -> ProblemResponse:
    return ProblemResponse(NOT_FOUND, f"There is no {kind.name} “{key}”.")


def page(kind: Kind, wanted: ObjectsPage) -> list[Any]:
    """The rows of a page, and one more if another page follows."""
    filters = {kind.filters[name]: value for name, value in wanted.filters.items()}
    return kind.page(wanted.limit + 1, wanted.after, filters)


def put(request: Request, kind: Kind, key: str, item: dict[str, Any], *, dry_run: bool) -> Written:
    """Creates or replaces the object; one with an id is only replaced. ``value`` of the result is a :class:`Saved`.
    Raises :class:`ProblemResponse`, and as :meth:`~limits.configfile.objects.Kind.write` does."""
    actor = actor_of(token_of(request))

    def change() -> Saved:
        row = kind.find(key)
        if row is None and kind.identity == "id":
            raise _unknown(kind, key)
        require_preconditions(request, body(kind, row) if row is not None else None)
        saved = kind.write(item, row, actor.user)
        return Saved(body(kind, saved), saved, row is None)

    return write(change, actor, _reason("Saved", kind, key), dry_run=dry_run)


def create(request: Request, kind: Kind, item: dict[str, Any], key: bytes | None, *, dry_run: bool) -> Written:
    """Creates an object that gets an id, or returns the one that an earlier request with the same ``key`` created.
    ``value`` of the result is a :class:`Saved`. Raises as :func:`put` does."""
    actor = actor_of(token_of(request))
    # Not orjson: a number may have more than 64 bits.
    digest = hashlib.sha256(json.dumps(item, sort_keys=True).encode()).hexdigest()

    def change() -> Saved:
        if key is not None:
            _raise_if_done(key, digest)
        saved = kind.write(item, None, actor.user)
        return Saved(body(kind, saved), saved, True)

    remember = _remembering(kind, key, digest) if key is not None else None
    try:
        return write(change, actor, f"Added {_article(kind.name)}.", dry_run=dry_run, remember=remember)
    except _DoneBefore as error:
        return _repeated(kind, error.request)


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _raise_if_done(key: bytes, digest: str) -> None:
    """The lock of publications makes simultaneous requests wait for each other."""
    found = CreatingRequest.objects.filter(key=key.hex(), created_at__gt=timezone.now() - KEPT).first()
    if found is not None and found.digest != digest:
        raise ProblemResponse(KEY_REUSED, "The key was used for an object with other fields.")
    if found is not None:
        raise _DoneBefore(found)


def _remembering(kind: Kind, key: bytes, digest: str) -> Callable[[Written], None]:
    def remember(written: Written) -> None:
        values: Mapping[str, Any] = {
            "digest": digest,
            "created": "" if written.change else kind.key_of(written.value.row),
            "change": written.change,
            "created_at": timezone.now(),
        }
        CreatingRequest.objects.update_or_create(key=key.hex(), defaults=values)

    return remember


def _repeated(kind: Kind, request: CreatingRequest) -> Written:
    if request.change is not None:
        return Written(Saved({}, None, True), change=request.change)
    row = kind.find(request.created)
    if row is None:
        raise ProblemResponse(NOT_FOUND, f"The {kind.name} that this request created has been deleted.")
    return Written(Saved(body(kind, row), row, True))


def delete(request: Request, kind: Kind, key: str, *, dry_run: bool) -> Written:
    """Deletes the object. ``value`` of the result is a :class:`Saved`, with the row as it was. Raises
    :class:`ProblemResponse` and :class:`~limits.configfile.objects.StillUsed`."""
    actor = actor_of(token_of(request))

    def change() -> Saved:
        row = find(kind, key)
        require_preconditions(request, body(kind, row))
        pk = row.pk
        kind.delete(row)
        row.pk = pk
        return Saved({kind.identity: key}, row, False)

    return write(change, actor, _reason("Deleted", kind, key), dry_run=dry_run)


def _reason(verb: str, kind: Kind, key: str) -> str:
    return f"{verb} {kind.name} “{key}”."
