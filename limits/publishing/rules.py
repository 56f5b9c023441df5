"""Publishing the rules: recorded in the transaction that changes them, delivered after it.

A change of rules and its publication are committed together, one such transaction at a time. So each
publication contains all changes before it, and describes only its own. After the commit the newest
publication is written to the store. A publisher that crashes in between leaves a pending publication, which
the reconciler delivers.

Rows are compiled into one ruleset; invalid rows are rejected here, no matter how they were written.
"""

import secrets
from dataclasses import dataclass

import structlog
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from limits.domain.differences import differences
from limits.domain.edits import State
from limits.domain.states import state_of_rules
from limits.models import ApiToken as TokenRow
from limits.models import Block as BlockRow
from limits.models import Endpoint as EndpointRow
from limits.models import Plan as PlanRow
from limits.models import Platform, Publication, RuleChange
from limits.models import Policy as PolicyRow
from limits.models import SegmentOverride as SegmentOverrideRow
from limits.publishing.planned import planned_change_sets, with_planned_changes
from limits.store.client import control_client
from limits.store.ruleset_writer import MayReplace, RulesetWriter
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.attributes import match_of
from ratelimit_enforcer.domain.dates import optional_microseconds
from ratelimit_enforcer.domain.enums import Mode, OnStoreFailure, OverQuota, Partition, Scope
from ratelimit_enforcer.domain.routes import Route
from ratelimit_enforcer.domain.rules import Endpoint, Plan, Policy
from ratelimit_enforcer.domain.ruleset import ApiToken, Ruleset, Version, digest_of
from ratelimit_enforcer.domain.validation import InvalidRuleset, ruleset_problems
from ratelimit_enforcer.store.errors import PartlyPublished, StoreError
from ratelimit_enforcer.store.keys import Keys


class ForeignRules(Exception):
    """The store has rules that this database does not know: those of another database, or of a later state of
    this one, from before a backup was restored."""

    def __init__(self, found: Version) -> None:
        self.found = found
        super().__init__(
            f"Redis has version {found.sequence} of the ruleset, which this database did not publish. "
            "To replace it with the rules of this database, run: python manage.py publish_ruleset --take-over"
        )


def require_own_rules(found: Version) -> None:
    """Raises :class:`ForeignRules` if this database did not publish the version found in the store."""
    published = Publication.objects.filter(sequence=found.sequence, epoch=found.epoch, digest=found.digest)
    if not published.filter(epoch__in=Platform.objects.values("epoch")).exists():
        raise ForeignRules(found)


@dataclass(frozen=True, slots=True)
class Delivery:
    """The result of delivering a change. ``version`` is the sequence that is live (None: unknown or none);
    ``problem`` is a sentence for people if the change is not live yet, else empty."""

    live: bool
    version: int | None = None
    problem: str = ""


def postponed_delivery() -> Delivery:
    """Returns the result for an unavailable store: the change is saved in the database and goes live later."""
    return Delivery(False, problem="Redis is unavailable; the change will go live automatically.")


def ruleset_writer() -> RulesetWriter:
    """Returns the writer of rulesets in the store of this platform."""
    return RulesetWriter(control_client(), Keys(setting("NAMESPACE")))


def compile_ruleset() -> Ruleset:
    """Reads all rules from the database, with the planned change sets. Raises :class:`InvalidRuleset` with all
    problems."""
    ruleset = read_ruleset()
    if problems := tuple(ruleset_problems(ruleset)):
        raise InvalidRuleset(problems)
    return with_planned_changes(ruleset, state_of(ruleset)) if planned_change_sets().exists() else ruleset


def read_ruleset() -> Ruleset:
    """Reads all rules from the database without validating them, and without planned change sets."""
    plans = list(PlanRow.objects.order_by("slug"))
    return Ruleset(
        plans=tuple(Plan(row.slug, row.name) for row in plans),
        default_plan=next((row.slug for row in plans if row.is_default), None),
        endpoints=tuple(map(endpoint_of, EndpointRow.objects.order_by("slug").prefetch_related("routes"))),
        policies=tuple(map(policy_of, _policy_rows())),
        tokens=tuple(map(_token, TokenRow.objects.filter(revoked_at=None).order_by("name"))),
        shadow_all=Platform.load().shadow_all,
        segment_overrides=tuple(row.as_domain() for row in _segment_override_rows()),
        blocks=tuple(sorted((row.as_domain() for row in BlockRow.objects.all()), key=lambda block: block.subject)),
    )


def read_state() -> State:
    """Reads the rules from the database as a state, whose differences are edits."""
    return state_of(read_ruleset())


def state_of(ruleset: Ruleset) -> State:
    """The state of a ruleset that was just read from the database."""
    names = dict(PolicyRow.objects.values_list("slug", "name"))
    reasons = SegmentOverrideRow.objects.order_by("pk").values_list("reason", flat=True)
    return state_of_rules(ruleset, names, reasons)


def _segment_override_rows() -> list[SegmentOverrideRow]:
    rows = SegmentOverrideRow.objects.order_by("pk").select_related("plan", "policy")
    return list(rows.prefetch_related("limits"))


def _policy_rows() -> "list[PolicyRow]":
    rows = PolicyRow.objects.order_by("slug").select_related("plan", "endpoint")
    return list(rows.prefetch_related("limits"))


def endpoint_of(row: EndpointRow) -> Endpoint:
    """The endpoint in a row."""
    routes = tuple(Route(route.method, route.path) for route in row.routes.all())
    return Endpoint(row.slug, row.name, routes, row.cost)


def policy_of(row: PolicyRow) -> Policy:
    """The policy in a row."""
    return Policy(
        slug=row.slug,
        plan=row.plan.slug if row.plan else None,
        endpoint=row.endpoint.slug if row.endpoint else None,
        partition=Partition(row.partition),
        mode=Mode(row.mode),
        on_store_failure=OnStoreFailure(row.on_store_failure),
        limits=tuple(limit.as_domain() for limit in row.limits.all()),
        starts_at=optional_microseconds(row.starts_at),
        ends_at=optional_microseconds(row.ends_at),
        attributes=tuple(row.attributes),
        match=match_of(row.match),
        over_quota=OverQuota(row.over_quota),
    )


def _token(row: TokenRow) -> ApiToken:
    return ApiToken(row.name, row.digest, frozenset(Scope(scope) for scope in row.scopes))


log = structlog.get_logger(__name__)

_TAKE_OVER_INTERRUPTED = (
    "Redis became unavailable. Once Redis is available, run again: python manage.py publish_ruleset --take-over"
)


@transaction.atomic
def record(author: str, user: User | None = None, reason: str = "") -> Publication | None:
    """Compiles the rules in the state of this transaction, and records their publication.

    Call it inside the transaction that changed them, after the last change. Returns None if the rules are
    unchanged. Raises :class:`~ratelimit_enforcer.domain.validation.InvalidRuleset`.
    """
    epoch = lock_publications().epoch
    change_ids = list(RuleChange.objects.values_list("id", flat=True))
    ruleset = compile_ruleset()
    previous = Publication.objects.order_by("-sequence").first()
    RuleChange.objects.filter(id__in=change_ids).delete()
    if previous and previous.epoch == epoch and previous.digest == digest_of(ruleset.to_bytes()):
        return None
    sequence = previous.sequence + 1 if previous else 1
    return _create(Version(epoch, sequence, ""), ruleset, previous, author, user, reason)


@transaction.atomic
def record_take_over(author: str, beyond: int, reason: str = "") -> Publication:
    """Records a publication under a new epoch, with a sequence above ``beyond``."""
    platform = lock_publications()
    platform.epoch = secrets.token_hex(6)
    platform.save(update_fields=["epoch"])
    previous = Publication.objects.order_by("-sequence").first()
    sequence = max(beyond, previous.sequence if previous else 0) + 1
    return _create(Version(platform.epoch, sequence, ""), compile_ruleset(), previous, author, None, reason)


def lock_publications() -> Platform:
    """Waits for other transactions that publish, and makes others wait until this one ends. Returns the row of the
    platform."""
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


def before_and_after(publication: Publication) -> tuple[Ruleset, Ruleset]:
    """The rulesets of the previous version (empty if there is none) and of this one."""
    previous = Publication.objects.filter(sequence__lt=publication.sequence).order_by("-sequence").first()
    before = Ruleset.from_bytes(previous.content.encode()) if previous else Ruleset()
    return before, Ruleset.from_bytes(publication.content.encode())


def deliver() -> Delivery:
    """Puts the newest publication in force. Does not raise if the store is unavailable."""
    latest = Publication.objects.order_by("-sequence").first()
    if latest is None:
        return Delivery(False, problem="Nothing has been published yet.")
    try:
        return _deliver(latest, _replaces_only_older(latest))
    except PartlyPublished as error:
        return _partly_live(latest, error)
    except StoreError as error:
        log.warning("publish_failed", version=latest.sequence, error=str(error))
        return postponed_delivery()
    except ForeignRules as error:
        log.warning("publish_refused", version=latest.sequence, found=str(error.found))
        return Delivery(False, problem=str(error))


def take_over(author: str, reason: str = "") -> Delivery:
    """Publishes over any rules in the store, under a new epoch. Raises :class:`StoreUnavailable` before
    anything is changed."""
    found = ruleset_writer().newest()
    publication = record_take_over(author, found.sequence if found else 0, reason)
    try:
        return _deliver(publication, lambda current: True)
    except PartlyPublished as error:
        return _partly_live(publication, error)
    except StoreError as error:
        log.warning("take_over_failed", version=publication.sequence, error=str(error))
        return Delivery(False, problem=_TAKE_OVER_INTERRUPTED)


def _deliver(publication: Publication, may_replace: MayReplace) -> Delivery:
    live = ruleset_writer().publish(publication.version, publication.content.encode(), may_replace)
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


def _replaces_only_older(publication: Publication) -> MayReplace:
    """A publication may replace earlier ones of the same database, and never a later one."""

    def may_replace(current: Version) -> bool:
        require_own_rules(current)
        return current.sequence <= publication.sequence

    return may_replace
