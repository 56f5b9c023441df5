"""Evaluating alert rules: alerts open, are kept up to date, and are resolved. Who is told of it is for
:mod:`limits.monitoring.telling`."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from limits.domain.words import AlertMetric
from limits.models import Alert, AlertRule
from limits.monitoring.metrics import minute_of, values
from limits.monitoring.telling import tell

log = structlog.get_logger(__name__)

LONG = 3_600
"""Seconds from which on a window is looked at once: a minute more or less does not matter to it."""

_NEVER = (None, None)

Firing = Mapping[str, tuple[float, datetime]]
"""Group → (its highest value, the last minute of that window)."""


def evaluate(now: datetime | None = None) -> int:
    """Evaluates every rule and writes what has to be told. Returns how many messages were written.
    Two at once do no harm."""
    now = now or timezone.now()
    for key in AlertRule.objects.values_list("pk", flat=True):
        _evaluate(key, now)
    return tell(now)


def evaluate_platform(now: datetime | None = None) -> int:
    """The same for the platform's own problems alone."""
    now = now or timezone.now()
    for key in AlertRule.objects.filter(metric=AlertMetric.PLATFORM.value).values_list("pk", flat=True):
        _evaluate(key, now)
    return tell(now)


@transaction.atomic
def _evaluate(key: int, now: datetime) -> None:
    """One rule at a time, held so that nobody else evaluates or changes it meanwhile."""
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
        for group, value in values(rule, last_minute).items():
            found[group] = max(found.get(group, (0.0, last_minute)), (value, last_minute))
    return found


def _last_minutes(rule: AlertRule, now: datetime) -> Iterable[datetime]:
    """The minutes that windows end with. The store's clock may be ahead of this one, and the counts of a
    minute that just ended arrive with the next drain."""
    around = (0,) if rule.window >= LONG or rule.metric == AlertMetric.PLATFORM else (-1, 0, 1)
    return [minute_of(now) + timedelta(minutes=offset) for offset in around]


def _open(rule: AlertRule, firing: Firing, now: datetime) -> None:
    if not firing:
        return
    before = _earlier(rule, firing)
    Alert.objects.bulk_create(
        Alert(
            rule=rule,
            group=group,
            opened_at=now,
            value=value,
            highest=value,
            last_fired_at=now,
            last_minute=last_minute,
            told_at=before.get(group, _NEVER)[0],
            silenced_until=before.get(group, _NEVER)[1],
        )
        for group, (value, last_minute) in firing.items()
    )
    log.info("alerts_opened", rule=rule.name, count=len(firing), highest=max(value for value, _ in firing.values()))


def _earlier(rule: AlertRule, groups: Iterable[str]) -> dict[str, tuple[datetime | None, datetime | None]]:
    """Group → when people last heard of the matter, and until when somebody silenced it."""
    rows = rule.alerts.filter(group__in=list(groups)).order_by().values_list("group")
    found = rows.annotate(told=Max("told_at"), silenced=Max("silenced_until"))
    return {group: (told, silenced) for group, told, silenced in found}


def _update(alerts: list[Alert], firing: Firing, now: datetime) -> None:
    for alert in alerts:
        alert.value, alert.last_minute = firing[alert.group]
        alert.highest = max(alert.highest, alert.value)
        alert.last_fired_at = now
    Alert.objects.bulk_update(alerts, ["value", "highest", "last_fired_at", "last_minute"], batch_size=1_000)


def _resolve(rule: AlertRule, alerts: list[Alert], now: datetime) -> None:
    if alerts:
        Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(resolved_at=now)
        log.info("alerts_resolved", rule=rule.name, count=len(alerts))
