"""Reads publications, restores their content, and reverts their changes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from api.problems import KEY_REUSED, NOT_FOUND, ProblemResponse
from limits.changes.lifecycle import Actor, differences_of
from limits.changes.undo import undo
from limits.changes.writing import Written, write
from limits.configfile.apply import restore_rules
from limits.domain.rule_items import text_of_moment
from limits.models import CreatingRequest, Publication
from limits.models.requests import KEPT
from ratelimit_enforcer.domain.ruleset import Ruleset


def find(version: int) -> Publication:
    """The publication with this version. Raises :class:`ProblemResponse` if there is none."""
    row = _rows().filter(sequence=version).first()
    if row is None:
        raise ProblemResponse(NOT_FOUND, f"There is no version {version}.")
    return row


def page(limit: int, after: int | None) -> list[Publication]:
    """The publications of a page, the newest first, older than the version ``after``, and one more if another page
    follows."""
    rows = _rows() if after is None else _rows().filter(sequence__lt=after)
    return list(rows.defer("content").order_by("-sequence")[: limit + 1])


def _rows() -> QuerySet[Publication]:
    return Publication.objects.prefetch_related("change_sets")


def summary(row: Publication) -> dict[str, Any]:
    """Everything about a publication except its content."""
    return {
        "version": row.sequence,
        "state": row.state,
        "author": row.author,
        "reason": row.reason,
        "created_at": text_of_moment(row.created_at),
        "live_at": text_of_moment(row.live_at),
        "differences": row.changes,
        "change": next((change.pk for change in row.change_sets.all()), None),
    }


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request wants to do with a version: ``action`` is “restore” or “revert”. ``key``: of its
    ``Idempotency-Key``; None: it has none."""

    action: str
    version: int
    reason: str
    dry_run: bool
    key: bytes | None

    @property
    def digest(self) -> str:
        """What distinguishes it from another request with the same key, in hexadecimal."""
        return sha256(f"{self.action} {self.version} {self.reason}".encode()).hexdigest()


class _DoneBefore(Exception):
    """An earlier request with the same key did this."""

    def __init__(self, request: CreatingRequest) -> None:
        self.request = request
        super().__init__(request.key)


def carry_out(wish: Wish, actor: Actor) -> Written:
    """Makes the rules those of an earlier version, or undoes what a version changed, as
    :func:`~limits.changes.writing.write` does. Raises :class:`ProblemResponse`, as
    :func:`~limits.changes.undo.undo` does, and :class:`~limits.configfile.reading.InvalidConfig` if something that
    would be removed is still used."""
    row = find(wish.version)
    act, otherwise = _ACTIONS[wish.action]

    def change() -> None:
        _raise_if_done(wish)
        act(row)

    why, remember = wish.reason or otherwise.format(wish.version), partial(_remember, wish)
    try:
        return write(change, actor, why, describe=True, dry_run=wish.dry_run, remember=remember)
    except _DoneBefore as error:
        return _repeated(error.request)


def _restore(row: Publication) -> None:
    restore_rules(Ruleset.from_bytes(row.content.encode()))


_ACTIONS: dict[str, tuple[Callable[[Publication], None], str]] = {
    "restore": (_restore, "Rolled back to version {}."),
    "revert": (undo, "Undoes version {}."),
}


def _raise_if_done(wish: Wish) -> None:
    """The lock of publications makes simultaneous requests wait for each other."""
    if wish.key is None:
        return
    found = CreatingRequest.objects.filter(key=wish.key.hex(), created_at__gt=timezone.now() - KEPT).first()
    if found is not None and found.digest != wish.digest:
        raise ProblemResponse(KEY_REUSED, "The key was used for another version, action or reason.")
    if found is not None:
        raise _DoneBefore(found)


def _remember(wish: Wish, written: Written) -> None:
    if wish.key is not None:
        created = str(written.publication.sequence) if written.publication else ""
        values = {"digest": wish.digest, "created": created, "change": written.change, "created_at": timezone.now()}
        CreatingRequest.objects.update_or_create(key=wish.key.hex(), defaults=values)


def _repeated(request: CreatingRequest) -> Written:
    publication = Publication.objects.filter(sequence=request.created).first() if request.created else None
    if request.change is not None:
        return Written(None, list(map(str, differences_of(request.change))), request.change)
    return Written(None, publication.changes if publication else [], publication=publication)
