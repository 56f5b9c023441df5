"""Alerts: evaluating rules, which opens, updates and resolves alerts, and notification.

Notification writes the messages that are due: at most one for each alert in its cooldown, and a digest in
place of a burst.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import DurationField, Exists, ExpressionWrapper, F, Max, OuterRef, Q, QuerySet, Value
from django.utils import timezone

from limits.models import Alert, AlertRule, Message
from limits.models.channels import incident_channels
from limits.monitoring.messages import Contexts, write_digest, write_message
from limits.monitoring.metrics import firing_values, minute_of
from ratelimit_enforcer.domain.enums import AlertMetric, Channel, MessageKind

ALERT_BURST_SIZE = 20
"""If more alerts than this open within a minute, a digest replaces the single messages."""

ALERT_BURST_WINDOW = timedelta(minutes=1)

MIN_MESSAGE_INTERVAL = timedelta(minutes=1)
"""Minimum pause between two messages about the same alert, whatever the cooldown."""

STILL_FIRING_WITHIN = timedelta(minutes=2)

MAX_RESOLUTION_AGE = timedelta(days=1)
"""Resolutions that are older than this are no longer reported."""


@transaction.atomic
def notify(now: datetime) -> int:
    """Writes the messages that are due. Returns the number of messages. Concurrent calls write different
    ones."""
    firing = list(_due(now))
    about_platform = [alert for alert in firing if alert.rule.metric == AlertMetric.PLATFORM]
    about_usage = [alert for alert in firing if alert.rule.metric != AlertMetric.PLATFORM]
    if _is_burst_in_progress(about_usage, now):
        about_usage = []
    written = _write([*about_platform, *about_usage], now)
    return written + _notify_resolved(now) + _resolve_incidents(now)


def _due(now: datetime) -> QuerySet[Alert]:
    """Alerts without a notification so far, and those that still fire after their cooldown."""
    cooldown = ExpressionWrapper(F("rule__cooldown") * Value(timedelta(seconds=1)), output_field=DurationField())
    again = Q(notified_at__lte=now - MIN_MESSAGE_INTERVAL) & Q(
        notified_at__lte=now - cooldown, last_fired_at__gt=now - STILL_FIRING_WITHIN
    )
    not_silenced = Q(silenced_until=None) | Q(silenced_until__lte=now)
    open_alerts = Alert.objects.filter(not_silenced, resolved_at=None, acknowledged_at=None)
    due = open_alerts.filter(Q(notified_at=None) | again)
    return due.order_by("pk").select_related("rule").select_for_update(of=("self",))


def _is_burst_in_progress(alerts: Sequence[Alert], now: datetime) -> bool:
    """Whether a burst of alerts began less than a minute ago, so that notification waits for its end."""
    unnotified = [alert.opened_at for alert in alerts if alert.notified_at is None]
    if not unnotified or min(unnotified) <= now - ALERT_BURST_WINDOW:
        return False
    return Alert.objects.filter(opened_at__gt=now - ALERT_BURST_WINDOW).count() > ALERT_BURST_SIZE


def _write(alerts: Sequence[Alert], now: datetime) -> int:
    opened = [alert for alert in alerts if not _is_reminder(alert)]
    reminded = [alert for alert in alerts if _is_reminder(alert)]
    written = _write_all(opened, MessageKind.OPENED, now) + _write_all(reminded, MessageKind.REMINDER, now)
    Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(notified_at=now)
    return written


def _is_reminder(alert: Alert) -> bool:
    return alert.notified_at is not None and alert.notified_at >= alert.opened_at


def _notify_resolved(now: datetime) -> int:
    resolved = Alert.objects.filter(
        rule__notify_resolved=True,
        resolved_at__gt=now - MAX_RESOLUTION_AGE,
        resolution_notified_at=None,
        notified_at__gte=F("opened_at"),
    )
    not_silenced = Q(silenced_until=None) | Q(silenced_until__lte=now)
    alerts = list(resolved.filter(not_silenced).order_by("pk").select_related("rule").select_for_update(of=("self",)))
    written = _write_all(alerts, MessageKind.RESOLVED, now, incident_channels() if alerts else frozenset())
    Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(resolution_notified_at=now)
    return written


def _resolve_incidents(now: datetime) -> int:
    """Resolves the incidents of alerts that are resolved, whatever the rule says about notifications and even during a
    silence: nobody else would resolve them. Returns the number of messages."""
    written = 0
    for slug in incident_channels():
        sent = Message.objects.filter(alerts=OuterRef("pk"), channel=Channel.SERVICE.value, destination=slug)
        resolved = Alert.objects.filter(resolved_at__gt=now - MAX_RESOLUTION_AGE)
        opened = resolved.filter(Exists(sent.filter(kind__in=[MessageKind.OPENED.value, MessageKind.REMINDER.value])))
        unresolved = opened.exclude(Exists(sent.filter(kind=MessageKind.RESOLVED.value)))
        for alert in unresolved.order_by("pk").select_related("rule").select_for_update(of=("self",)):
            write_message(Channel.SERVICE, slug, alert, MessageKind.RESOLVED, now)
            written += 1
    return written


def _write_all(alerts: Iterable[Alert], kind: MessageKind, now: datetime, without: frozenset[str] = frozenset()) -> int:
    """``without``: slugs of notification channels that get no message."""
    by_destination: dict[tuple[Channel, str], list[Alert]] = defaultdict(list)
    for alert in alerts:
        for channel, name in alert.rule.destinations:
            if channel is not Channel.SERVICE or name not in without:
                by_destination[channel, name].append(alert)
    contexts: Contexts = {}
    return sum(_write_to(*destination, some, kind, now, contexts) for destination, some in by_destination.items())


def _write_to(
    channel: Channel, destination: str, alerts: Sequence[Alert], kind: MessageKind, now: datetime, contexts: Contexts
) -> int:
    if len(alerts) > ALERT_BURST_SIZE:
        write_digest(channel, destination, alerts, kind, now)
        return 1
    for alert in alerts:
        write_message(channel, destination, alert, kind, now, contexts)
    return len(alerts)


log = structlog.get_logger(__name__)

LONG_WINDOW_SECONDS = 3_600
"""Windows of at least this many seconds are evaluated once: a minute more or less does not matter for them."""

_NO_EARLIER_ALERT = (None, None)

Firing = Mapping[str, tuple[float, datetime]]
"""Group → (the highest value, the last minute of that window)."""


def evaluate(now: datetime | None = None) -> int:
    """Evaluates every rule and writes the messages that are due. Returns the number of messages. Concurrent
    calls are harmless."""
    now = now or timezone.now()
    for key in AlertRule.objects.values_list("pk", flat=True):
        _evaluate_rule(key, now)
    return notify(now)


def evaluate_platform(now: datetime | None = None) -> int:
    """Evaluates the rules on the platform's own problems only, and writes the messages that are due. Returns the
    number of messages."""
    now = now or timezone.now()
    for key in AlertRule.objects.filter(metric=AlertMetric.PLATFORM.value).values_list("pk", flat=True):
        _evaluate_rule(key, now)
    return notify(now)


@transaction.atomic
def _evaluate_rule(key: int, now: datetime) -> None:
    """Evaluates one rule, locked against concurrent evaluation and changes."""
    rule = AlertRule.objects.select_for_update(of=("self",)).filter(pk=key).first()
    if rule is None:
        return
    firing = _firing(rule, now)
    open_alerts = {alert.group: alert for alert in rule.alerts.filter(resolved_at=None)}
    _update([alert for group, alert in open_alerts.items() if group in firing], firing, now)
    _open(rule, {group: fired for group, fired in firing.items() if group not in open_alerts}, now)
    quiet = (alert for group, alert in open_alerts.items() if group not in firing)
    _resolve(rule, [alert for alert in quiet if now - alert.last_fired_at >= timedelta(seconds=rule.window)], now)


def _firing(rule: AlertRule, now: datetime) -> Firing:
    found: dict[str, tuple[float, datetime]] = {}
    for last_minute in _last_minutes(rule, now):
        for group, value in firing_values(rule, last_minute).items():
            found[group] = max(found.get(group, (0.0, last_minute)), (value, last_minute))
    return found


def _last_minutes(rule: AlertRule, now: datetime) -> Iterable[datetime]:
    """Returns the last minutes of the windows to evaluate. The store's clock may be ahead of this one, and
    the counts of a minute that just ended arrive with the next drain."""
    offsets = (0,) if rule.window >= LONG_WINDOW_SECONDS or rule.metric == AlertMetric.PLATFORM else (-1, 0, 1)
    return [minute_of(now) + timedelta(minutes=offset) for offset in offsets]


def _open(rule: AlertRule, firing: Firing, now: datetime) -> None:
    if not firing:
        return
    before = _earlier_alerts(rule, firing)
    Alert.objects.bulk_create(
        Alert(
            rule=rule,
            group=group,
            opened_at=now,
            value=value,
            highest=value,
            last_fired_at=now,
            last_minute=last_minute,
            notified_at=before.get(group, _NO_EARLIER_ALERT)[0],
            silenced_until=before.get(group, _NO_EARLIER_ALERT)[1],
        )
        for group, (value, last_minute) in firing.items()
    )
    log.info("alerts_opened", rule=rule.name, count=len(firing), highest=max(value for value, _ in firing.values()))


def _earlier_alerts(rule: AlertRule, groups: Iterable[str]) -> dict[str, tuple[datetime | None, datetime | None]]:
    """Returns group → the time of the last notification, and the time until which the group is silenced."""
    rows = rule.alerts.filter(group__in=list(groups)).order_by().values_list("group")
    found = rows.annotate(notified=Max("notified_at"), silenced=Max("silenced_until"))
    return {group: (notified, silenced) for group, notified, silenced in found}


def _update(alerts: list[Alert], firing: Firing, now: datetime) -> None:
    """Writes the values of changed alerts only: Django's bulk update compares every row with every key, in
    four columns."""
    Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(last_fired_at=now)
    changed = [alert for alert in alerts if (alert.value, alert.last_minute) != firing[alert.group]]
    for alert in changed:
        alert.value, alert.last_minute = firing[alert.group]
        alert.highest = max(alert.highest, alert.value)
    Alert.objects.bulk_update(changed, ["value", "highest", "last_minute"], batch_size=1_000)


def _resolve(rule: AlertRule, alerts: list[Alert], now: datetime) -> None:
    if alerts:
        Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(resolved_at=now)
        log.info("alerts_resolved", rule=rule.name, count=len(alerts))
