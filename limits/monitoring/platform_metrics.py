"""Metrics of the platform for Prometheus: the same on every server, and read during the scrape.

They tell whether the stores are available, what waits in them, and how reservations were settled. An unavailable store
is reported as such; the values read from it are then left out.
"""

from collections.abc import Iterator

from django.db import DatabaseError, InterfaceError
from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from limits.models import Alert, Message, Progress, Publication, SettlementTotal, Work
from limits.monitoring.drain import usage_counts
from limits.store.client import control_client
from limits.store.open_reservations import unsettled
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.ruleset import Version
from ratelimit_enforcer.store.connections.factory import store_connections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreError
from ratelimit_enforcer.store.keys import Keys
from ratelimit_enforcer.store.ruleset_reader import RulesetReader

_SETTLEMENTS = {
    "reserved": ("ratelimit_reserved_cost", "Cost consumed by reservations, before the actual cost was known."),
    "settlements": ("ratelimit_settlements", "Settlements of reservations."),
    "settled": ("ratelimit_settled_cost", "Actual cost of settled reservations."),
    "refunded": ("ratelimit_refunded_cost", "Reserved cost that settlements refunded."),
    "debited": ("ratelimit_debited_cost", "Cost that settlements debited beyond the reserved cost, and charges."),
    "overdrawn": ("ratelimit_overdrawn_cost", "The part of the debited cost that was beyond a quota."),
}
"""Column of the totals → name and text of the counter."""


def platform_metrics() -> Iterator[Metric]:
    """Yields all metrics that can be read now."""
    yield from _store()
    yield from _database()


def _store() -> Iterator[Metric]:
    name, text = "ratelimit_store_up", "Whether Redis is available to this server: 1 or 0."
    reader = RulesetReader(store_connections(), Keys(setting("NAMESPACE")))
    try:
        token = reader.pointer(Deadline(setting("CHECK_DEADLINE")))
    except StoreError:
        yield _gauge(name, text, 0)
        return
    yield _gauge(name, text, 1)
    yield from _damage()
    yield from _reservations()
    if token is not None:
        text = "The ruleset in force in the store."
        yield _gauge("ratelimit_ruleset_published_version", text, Version.parse(token).sequence)


def _damage() -> Iterator[Metric]:
    try:
        found = usage_counts().damage_found()
    except StoreError:
        return
    text = "Damaged entries found in Redis in the last days. They were set aside."
    yield _gauge("ratelimit_damaged_entries", text, sum(found.kinds.values()) if found else 0)


def _reservations() -> Iterator[Metric]:
    try:
        found = unsettled(control_client(), Keys(setting("NAMESPACE")))
    except StoreError:
        return
    yield _gauge("ratelimit_reservations_open", "Unsettled reservations that have not expired.", found.open)
    text = "Reservations that expired unsettled in the last 24 hours: they can still be settled, without a refund."
    yield _gauge("ratelimit_reservations_expired", text, found.expired)


def _database() -> Iterator[Metric]:
    name, text = "ratelimit_database_up", "Whether PostgreSQL is available to this server: 1 or 0."
    try:
        found = [*_work(), *_alerts(), *_settlements()]
    except (DatabaseError, InterfaceError):
        yield _gauge(name, text, 0)
        return
    yield _gauge(name, text, 1)
    yield from found


def _work() -> Iterator[Metric]:
    latest = Publication.objects.order_by("-sequence").values_list("state", flat=True).first()
    waiting = latest not in (None, Publication.State.LIVE)
    text = "Whether the newest publication is not live everywhere yet: 1 or 0."
    yield _gauge("ratelimit_publication_waiting", text, waiting)
    if (drained := Progress.of(Work.DRAIN)) is not None:
        text = "Time since all usage counts were copied from Redis to PostgreSQL."
        yield _gauge("ratelimit_drain_lag_seconds", text, max(0.0, (timezone.now() - drained).total_seconds()))


def _alerts() -> Iterator[Metric]:
    yield _gauge("ratelimit_alerts_open", "Alerts that are open.", Alert.objects.filter(resolved_at=None).count())
    waiting = Message.objects.filter(sent_at=None).exclude(next_attempt_at=None).count()
    yield _gauge("ratelimit_messages_waiting", "Messages about alerts that are not delivered yet.", waiting)


def _settlements() -> Iterator[Metric]:
    totals = list(SettlementTotal.objects.all())
    for column, (name, text) in _SETTLEMENTS.items():
        counter = CounterMetricFamily(name, text, labels=("endpoint",))
        for total in totals:
            counter.add_metric((total.endpoint_name,), getattr(total, column))
        yield counter


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
