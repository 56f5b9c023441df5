"""The reconciler: every few seconds it compares the database with the store and repairs.

While nothing is wrong it reads marks only, never a client. What it does can be done by two at
once, be stopped anywhere, and be done again.
"""

from dataclasses import dataclass

import structlog

from limits.domain.problems import RulesetRefused
from limits.models import ClientChange, Publication, RuleChange
from limits.publishing import clients, rules
from limits.publishing.delivery import Delivery, ruleset_writer
from limits.publishing.pending import resolve_pending
from limits.store.errors import StoreError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What a run found to do. ``resolved``: pending entries of a Cluster. ``problem`` says what could not
    be done, else it is empty."""

    recorded: bool = False
    published: bool = False
    clients_delivered: bool = False
    clients_loaded: bool = False
    resolved: int = 0
    problem: str = ""


def reconcile() -> Reconciliation:
    """One run. Raises nothing for an unreachable store."""
    try:
        return _reconcile()
    except StoreError as error:
        log.warning("reconcile_failed", error=str(error))
        return Reconciliation(problem=str(error))


def _reconcile() -> Reconciliation:
    resolved = resolve_pending()
    recorded = _record_stray_changes()
    delivery = _deliver_rules()
    if delivery is not None and not delivery.live:
        return Reconciliation(recorded=recorded, resolved=resolved, problem=delivery.problem)
    delivered = ClientChange.objects.exists() and clients.deliver().live
    incomplete = _incomplete_buckets()
    loaded = bool(incomplete) and clients.load_all(incomplete)
    found = Reconciliation(recorded, delivery is not None, delivered, loaded, resolved)
    if found != Reconciliation():
        log.info("reconciled", recorded=recorded, published=found.published, clients_loaded=loaded, resolved=resolved)
    return found


def _record_stray_changes() -> bool:
    """Publishes what was changed past the admin and the commands."""
    if not RuleChange.objects.exists():
        return False
    try:
        return rules.record("reconciler", reason="Rows were changed outside the admin.") is not None
    except RulesetRefused as error:
        log.error("ruleset_refused", problems=[str(problem) for problem in error.problems])
        return False


def _deliver_rules() -> Delivery | None:
    """Publishes where the store does not have what it should; None where there was no need."""
    latest = Publication.objects.order_by("-sequence").first()
    if latest is None:
        return None
    writer = ruleset_writer()
    writer.drop_damaged()
    in_force = writer.pointer() == latest.version and writer.is_whole(latest.version)
    everywhere = in_force and all(mark.token == latest.token for mark in writer.marks())
    if everywhere and latest.state == Publication.State.LIVE:
        return None
    return rules.deliver()


def _incomplete_buckets() -> list[int]:
    """Those that can be reached and do not hold all of their clients."""
    marks = enumerate(ruleset_writer().marks())
    return [bucket for bucket, mark in marks if mark.reachable and not mark.complete]
