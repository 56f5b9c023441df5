"""Bringing the store to the state of the database: right after a save, and every few seconds.

The reconciler compares the store with the database and repairs it. Unless a repair is needed, it reads only
marks and no clients. Its steps can run twice at once, be interrupted anywhere, and be repeated. On a Cluster
it also resolves pending entries of requests, so that these need not wait for the next check.
"""

import time
from dataclasses import dataclass

import structlog

from limits.models import Client, ClientChange, Publication, RuleChange
from limits.publishing import clients, rules
from limits.publishing.rules import Delivery, postponed_delivery, ruleset_writer
from limits.store.client import TIMEOUT_SECONDS, ClusterClient, control_client
from limits.store.overdue import finish_all, resolve_all
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.validation import InvalidRuleset
from ratelimit_enforcer.store.completer import Resolver
from ratelimit_enforcer.store.connections.factory import store_connections
from ratelimit_enforcer.store.errors import StoreError
from ratelimit_enforcer.store.keys import Keys
from ratelimit_enforcer.store.pending import PendingEntries
from ratelimit_enforcer.store.reservations import Reservations

log = structlog.get_logger(__name__)

MAX_CLIENTS_LOADED_BY_SAVE = 5_000
"""Number of clients that a save may load itself. Larger numbers are left to the reconciler."""


def go_live() -> Delivery:
    """Puts the newest publication in force. A new or emptied store gets the clients too; otherwise registered
    clients would be unknown to it. Does not raise if the store is unavailable."""
    delivery = rules.deliver()
    if not delivery.live:
        return delivery
    try:
        _load_missing_clients()
    except StoreError as error:
        log.warning("clients_not_loaded", error=str(error))
        return postponed_delivery()
    return delivery


def _load_missing_clients() -> None:
    complete = all(state.complete for state in ruleset_writer().shard_states())
    if not complete and Client.objects.count() <= MAX_CLIENTS_LOADED_BY_SAVE:
        clients.load_all()


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The repairs of one run. ``resolved``: pending entries and settlements of a Cluster. ``problem`` says what could
    not be done, else it is empty."""

    recorded: bool = False
    published: bool = False
    clients_delivered: bool = False
    clients_loaded: bool = False
    resolved: int = 0
    problem: str = ""


def reconcile() -> Reconciliation:
    """Runs once and returns the repairs. Does not raise if the store is unavailable."""
    try:
        return _reconcile()
    except StoreError as error:
        log.warning("reconcile_failed", error=str(error))
        return Reconciliation(problem=str(error))


def _reconcile() -> Reconciliation:
    resolved = resolve_pending()
    recorded = _record_unpublished()
    delivery = _deliver_rules()
    if delivery is not None and not delivery.live:
        return Reconciliation(recorded=recorded, resolved=resolved, problem=delivery.problem)
    delivered = ClientChange.objects.exists() and clients.deliver().live
    incomplete = _incomplete_shards()
    loaded = bool(incomplete) and clients.load_all(incomplete)
    found = Reconciliation(recorded, delivery is not None, delivered, loaded, resolved)
    if found != Reconciliation():
        log.info("reconciled", recorded=recorded, published=found.published, clients_loaded=loaded, resolved=resolved)
    return found


def _record_unpublished() -> bool:
    """Records rules that no publication contains: changes made outside the admin and the commands, and the empty
    rules of a new installation. Returns whether there were any."""
    if RuleChange.objects.exists():
        reason = "Rows were changed outside the admin."
    elif _is_new():
        reason = "The first ruleset of a new installation."
    else:
        return False
    try:
        return rules.record("reconciler", reason=reason) is not None
    except InvalidRuleset as error:
        log.error("ruleset_refused", problems=[str(problem) for problem in error.problems])
        return False


def _is_new() -> bool:
    """A database that published nothing, with a store that holds rules, may be waiting for its backup."""
    return not Publication.objects.exists() and ruleset_writer().newest() is None


def _deliver_rules() -> Delivery | None:
    """Publishes if the rules in the store are missing or outdated; returns None if they are current."""
    latest = Publication.objects.order_by("-sequence").first()
    if latest is None:
        return None
    writer = ruleset_writer()
    writer.drop_damaged()
    in_force = writer.pointer() == latest.version and writer.is_intact(latest.version)
    everywhere = in_force and all(state.token == latest.token for state in writer.shard_states())
    if everywhere and latest.state == Publication.State.LIVE:
        return None
    return rules.deliver()


def _incomplete_shards() -> list[int]:
    """Returns the reachable shards whose clients are incomplete."""
    states = enumerate(ruleset_writer().shard_states())
    return [shard for shard, state in states if state.reachable and not state.complete]


def resolve_pending() -> int:
    """Refunds or confirms overdue pending entries, and finishes settlements. Returns their number; 0 on a single
    server. Raises :class:`~ratelimit_enforcer.store.errors.StoreUnavailable` if no node of the Cluster answers."""
    redis, keys = control_client(), Keys(setting("NAMESPACE"))
    if not isinstance(redis, ClusterClient):
        return 0
    services = store_connections(), keys, setting("COUNTS_PER_BUCKET")
    resolved = resolve_all(Resolver(PendingEntries(*services)), redis, keys, TIMEOUT_SECONDS)
    now = time.time_ns() // 1_000
    return resolved + finish_all(Reservations(*services), redis, keys, now, TIMEOUT_SECONDS)
