"""Who is told of which alerts now: each matter once in its cooldown, a flood of them in one digest."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import DurationField, ExpressionWrapper, F, Q, QuerySet, Value

from limits.domain.words import AlertMetric, Channel, MessageKind
from limits.models import Alert
from limits.monitoring.messages import Contexts, write_digest, write_message

FLOOD = 20
"""More alerts than these opening within a minute become one message."""

FLOOD_WINDOW = timedelta(minutes=1)

LEAST_PAUSE = timedelta(minutes=1)
"""Between two messages about the same matter, whatever the cooldown."""

STILL_FIRING = timedelta(minutes=2)

FORGOTTEN_AFTER = timedelta(days=1)
"""Nobody is told so late that something is over."""


@transaction.atomic
def tell(now: datetime) -> int:
    """Writes the messages that are due. Returns how many. Two at once write different ones."""
    firing = list(_due(now))
    of_platform = [alert for alert in firing if alert.rule.metric == AlertMetric.PLATFORM]
    of_clients = [alert for alert in firing if alert.rule.metric != AlertMetric.PLATFORM]
    if _is_rising_flood(of_clients, now):
        of_clients = []
    written = _write([*of_platform, *of_clients], now)
    return written + _tell_resolved(now)


def _due(now: datetime) -> QuerySet[Alert]:
    """Alerts that nobody was told of, and those whose cooldown is over while they still fire."""
    cooldown = ExpressionWrapper(F("rule__cooldown") * Value(timedelta(seconds=1)), output_field=DurationField())
    again = Q(told_at__lte=now - LEAST_PAUSE) & Q(told_at__lte=now - cooldown, last_fired_at__gt=now - STILL_FIRING)
    loud = Q(silenced_until=None) | Q(silenced_until__lte=now)
    open_alerts = Alert.objects.filter(loud, resolved_at=None, acknowledged_at=None)
    due = open_alerts.filter(Q(told_at=None) | again)
    return due.order_by("pk").select_related("rule").select_for_update(of=("self",))


def _is_rising_flood(alerts: Sequence[Alert], now: datetime) -> bool:
    """Whether so many open that it is better to wait for the rest of them, for a minute at most."""
    untold = [alert.opened_at for alert in alerts if alert.told_at is None]
    if not untold or min(untold) <= now - FLOOD_WINDOW:
        return False
    return Alert.objects.filter(opened_at__gt=now - FLOOD_WINDOW).count() > FLOOD


def _write(alerts: Sequence[Alert], now: datetime) -> int:
    opened = [alert for alert in alerts if not _is_reminder(alert)]
    reminded = [alert for alert in alerts if _is_reminder(alert)]
    written = _write_all(opened, MessageKind.OPENED, now) + _write_all(reminded, MessageKind.REMINDER, now)
    Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(told_at=now)
    return written


def _is_reminder(alert: Alert) -> bool:
    return alert.told_at is not None and alert.told_at >= alert.opened_at


def _tell_resolved(now: datetime) -> int:
    over = Alert.objects.filter(
        rule__notify_resolved=True,
        resolved_at__gt=now - FORGOTTEN_AFTER,
        resolution_told_at=None,
        told_at__gte=F("opened_at"),
    )
    loud = Q(silenced_until=None) | Q(silenced_until__lte=now)
    alerts = list(over.filter(loud).order_by("pk").select_related("rule").select_for_update(of=("self",)))
    written = _write_all(alerts, MessageKind.RESOLVED, now)
    Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(resolution_told_at=now)
    return written


def _write_all(alerts: Iterable[Alert], kind: MessageKind, now: datetime) -> int:
    by_destination: dict[tuple[Channel, str], list[Alert]] = defaultdict(list)
    for alert in alerts:
        for destination in alert.rule.destinations:
            by_destination[destination].append(alert)
    contexts: Contexts = {}
    return sum(_write_to(*destination, some, kind, now, contexts) for destination, some in by_destination.items())


def _write_to(
    channel: Channel, destination: str, alerts: Sequence[Alert], kind: MessageKind, now: datetime, contexts: Contexts
) -> int:
    if len(alerts) > FLOOD:
        write_digest(channel, destination, alerts, kind, now)
        return 1
    for alert in alerts:
        write_message(channel, destination, alert, kind, now, contexts)
    return len(alerts)
