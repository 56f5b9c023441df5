"""Evaluating alert rules: alerts open, stay open, are resolved; a mail is written with each."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.utils import timezone

from limits.models import Alert, AlertMail, AlertRule
from limits.monitoring.mails import write_mail
from limits.monitoring.metrics import denied, minute_of

log = structlog.get_logger(__name__)

AHEAD, BEHIND = 1, 1
"""Minutes around the present one that windows may end in: the store's clock may be ahead of this
one, and the counts of a minute that just ended arrive with the next drain."""


def evaluate(now: datetime | None = None) -> int:
    """Evaluates every rule. Returns how many mails were written. Two at once do no harm."""
    now = now or timezone.now()
    return sum(_evaluate(key, now) for key in AlertRule.objects.values_list("pk", flat=True))


@transaction.atomic
def _evaluate(key: int, now: datetime) -> int:
    """One rule at a time, held so that nobody else evaluates or changes it meanwhile."""
    rule = AlertRule.objects.select_for_update(of=("self",)).filter(pk=key).first()
    if rule is None:
        return 0
    values = _values(rule, now)
    open_alerts = {alert.group: alert for alert in rule.alerts.filter(resolved_at=None)}
    _resolve([alert for group, alert in open_alerts.items() if group not in values], now)
    written = 0
    for group, (value, last_minute) in values.items():
        alert = open_alerts.get(group) or _open(rule, group, value, now)
        _keep_highest(alert, value)
        written += _mail_unless_told(alert, value, last_minute, now)
    return written


def _values(rule: AlertRule, now: datetime) -> Mapping[str, tuple[int, datetime]]:
    """Group → (its highest value, the last minute of that window), where the rule fires."""
    values: dict[str, tuple[int, datetime]] = {}
    for offset in range(-BEHIND, AHEAD + 1):
        last_minute = minute_of(now) + timedelta(minutes=offset)
        for group, value in denied(rule, last_minute).items():
            values[group] = max(values.get(group, (0, last_minute)), (value, last_minute))
    return values


def _open(rule: AlertRule, group: str, value: int, now: datetime) -> Alert:
    log.info("alert_opened", rule=rule.name, value=value)
    return Alert.objects.create(rule=rule, group=group, opened_at=now, highest=value)


def _keep_highest(alert: Alert, value: int) -> None:
    if value > alert.highest:
        alert.highest = value
        alert.save(update_fields=["highest"])


def _resolve(alerts: list[Alert], now: datetime) -> None:
    Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(resolved_at=now)
    for alert in alerts:
        log.info("alert_resolved", rule=alert.rule.name)


def _mail_unless_told(alert: Alert, value: int, last_minute: datetime, now: datetime) -> int:
    """One mail for each rule and group in its cooldown, also over several alerts."""
    since = now - timedelta(seconds=alert.rule.cooldown)
    about_it = AlertMail.objects.filter(alert__rule=alert.rule, alert__group=alert.group)
    if about_it.filter(created_at__gt=since).exists():
        return 0
    write_mail(alert, value, last_minute, now)
    return 1
