"""Publishing the rules: recorded in the transaction that changed them, delivered after it.

A change of rules and its publication are committed together, one such transaction at a time; so
each publication holds all changes before it, and its sentences are its own. After the commit the
newest publication is written to the store. Whoever dies in between leaves a pending publication,
which the reconciler delivers.
"""

import secrets

import structlog
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from limits.domain.differences import differences
from limits.domain.ruleset import Ruleset, Version, digest_of
from limits.models import Platform, Publication, RuleChange
from limits.publishing.compiler import compile_ruleset
from limits.publishing.delivery import Delivery, not_reachable, ruleset_writer
from limits.publishing.origin import ForeignRules, require_ours
from limits.store.errors import PartlyPublished, StoreError
from limits.store.rules import MayFollow

log = structlog.get_logger(__name__)

_AGAIN = "Redis cannot be reached any more. When it can, run again: python manage.py publish_ruleset --take-over"


@transaction.atomic
def record(author: str, user: User | None = None, reason: str = "") -> Publication | None:
    """Compiles the rules as this transaction leaves them, and records their publication.

    Call it inside the transaction that changed them, after the last change. Returns None where
    the rules are the same as before. Raises :class:`~limits.domain.problems.RulesetRefused`.
    """
    epoch = _lock().epoch
    seen = list(RuleChange.objects.values_list("id", flat=True))
    ruleset = compile_ruleset()
    previous = Publication.objects.order_by("-sequence").first()
    RuleChange.objects.filter(id__in=seen).delete()
    if previous and previous.epoch == epoch and previous.digest == digest_of(ruleset.to_bytes()):
        return None
    sequence = previous.sequence + 1 if previous else 1
    return _create(Version(epoch, sequence, ""), ruleset, previous, author, user, reason)


@transaction.atomic
def record_take_over(author: str, beyond: int, reason: str = "") -> Publication:
    """Records a publication under a new epoch, with a sequence above ``beyond``."""
    platform = _lock()
    platform.epoch = secrets.token_hex(6)
    platform.save(update_fields=["epoch"])
    previous = Publication.objects.order_by("-sequence").first()
    sequence = max(beyond, previous.sequence if previous else 0) + 1
    return _create(Version(platform.epoch, sequence, ""), compile_ruleset(), previous, author, None, reason)


def _lock() -> Platform:
    """Makes transactions that publish wait for one another."""
    Platform.load()
    return Platform.objects.select_for_update().get()


def _create(
    version: Version,
    ruleset: Ruleset,
    previous: Publication | None,
    author: str,
    user: User | None,
    reason: str,
) -> Publication:
    data = ruleset.to_bytes()
    before = Ruleset.from_bytes(previous.content.encode()) if previous else Ruleset()
    return Publication.objects.create(
        sequence=version.sequence,
        epoch=version.epoch,
        digest=digest_of(data),
        content=data.decode(),
        changes=differences(before, ruleset),
        author=author,
        user=user,
        reason=reason,
    )


def deliver() -> Delivery:
    """Puts the newest publication in force. Does not raise for an unreachable store."""
    latest = Publication.objects.order_by("-sequence").first()
    if latest is None:
        return Delivery(False, problem="Nothing has been published yet.")
    try:
        return _deliver(latest, _continues(latest))
    except PartlyPublished as error:
        return _partly_live(latest, error)
    except StoreError as error:
        log.warning("publish_failed", version=latest.sequence, error=str(error))
        return not_reachable(error)
    except ForeignRules as error:
        log.warning("publish_refused", version=latest.sequence, found=str(error.found))
        return Delivery(False, problem=str(error))


def take_over(author: str, reason: str = "") -> Delivery:
    """Publishes over whatever the store holds. Raises :class:`StoreUnavailable` before anything
    is changed."""
    found = ruleset_writer().newest()
    publication = record_take_over(author, found.sequence if found else 0, reason)
    try:
        return _deliver(publication, lambda current: True)
    except PartlyPublished as error:
        return _partly_live(publication, error)
    except StoreError as error:
        log.warning("take_over_failed", version=publication.sequence, error=str(error))
        return Delivery(False, problem=_AGAIN)


def _deliver(publication: Publication, may_follow: MayFollow) -> Delivery:
    live = ruleset_writer().publish(publication.version, publication.content.encode(), may_follow)
    waiting = Publication.objects.filter(sequence__lte=live.sequence).exclude(state=Publication.State.LIVE)
    if waiting.update(state=Publication.State.LIVE, live_at=timezone.now()):
        log.info("published", version=live.sequence)
    return Delivery(True, version=live.sequence)


def _partly_live(publication: Publication, error: PartlyPublished) -> Delivery:
    log.warning("publish_incomplete", version=publication.sequence, error=str(error))
    Publication.objects.filter(pk=publication.pk, state=Publication.State.PENDING).update(
        state=Publication.State.PARTIAL
    )
    return Delivery(False, problem=str(error))


def _continues(publication: Publication) -> MayFollow:
    """A publication follows the ones of its own database, and never one that came after it."""

    def may_follow(current: Version) -> bool:
        require_ours(current)
        return current.sequence <= publication.sequence

    return may_follow
