"""Messages about alerts, written into an outbox in one transaction with what they are about.

Mails are read by people, webhooks by programs; both say the same.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse

from limits.conf import setting
from limits.domain.alerting import in_percent, span_in_words
from limits.domain.words import AlertMetric, Channel, GroupBy, MessageKind
from limits.models import Alert, AlertRule, Message
from limits.monitoring import problems
from limits.monitoring.metrics import MINUTE, largest

FIGURES = 10
"""Lines of figures in a message."""

DIGEST_LINES = 50
"""Alerts that a digest names."""

MAX_SUBJECT = 200

_PREFIXES = {MessageKind.REMINDER: "Still: ", MessageKind.RESOLVED: "Over: ", MessageKind.TEST: "Test: "}
_VERBS = {MessageKind.OPENED: "opened", MessageKind.REMINDER: "still open", MessageKind.RESOLVED: "over"}


Contexts = dict[int, dict[str, Any]]
"""Alert → what its messages of one kind say: worked out once for all who get one."""


def write_message(
    channel: Channel,
    destination: str,
    alert: Alert,
    kind: MessageKind,
    now: datetime,
    contexts: Contexts | None = None,
) -> Message:
    """Puts a message about one alert into the outbox."""
    contexts = {} if contexts is None else contexts
    if alert.pk not in contexts:
        contexts[alert.pk] = _context(alert, kind)
    context = contexts[alert.pk]
    message = _write(channel, destination, kind, context["subject"], "alert", context, now)
    message.alerts.add(alert)
    return message


def write_digest(
    channel: Channel, destination: str, alerts: Sequence[Alert], kind: MessageKind, now: datetime
) -> Message:
    """Puts one message about many alerts into the outbox; ``kind`` is what happened to all of them."""
    highest = sorted(alerts, key=lambda alert: (-alert.value, alert.group_name))
    names = sorted({alert.rule.name for alert in alerts})
    rules = names[0] if len(names) == 1 else f"{len(names)} rules"
    context: dict[str, Any] = {
        "subject": f"{rules}: {len(alerts):,} alerts {_VERBS[kind]}"[:MAX_SUBJECT],
        "count": len(alerts),
        "verb": _VERBS[kind],
        "rules": [_rule_line(name, alerts) for name in names],
        "alerts": highest[:DIGEST_LINES],
        "lines": [
            (_digest_line(alert, len(names)), _url("admin:limits_alert_change", alert.pk))
            for alert in highest[:DIGEST_LINES]
        ],
        "more": len(alerts) - DIGEST_LINES,
        "alerts_url": f"{_url('admin:limits_alert_changelist')}?{urlencode({'resolved_at__isempty': '1'})}",
    }
    message = _write(channel, destination, MessageKind.DIGEST, context["subject"], "digest", context, now)
    message.alerts.add(*alerts)
    return message


def write_test(channel: Channel, destination: str, rule: AlertRule, now: datetime) -> Message:
    """Puts a message into the outbox that shows how those of a rule arrive."""
    subject = f"{_PREFIXES[MessageKind.TEST]}{rule.name}"[:MAX_SUBJECT]
    context: dict[str, Any] = {
        "subject": subject,
        "rule": rule,
        "rule_url": _url("admin:limits_alertrule_change", rule.pk),
    }
    return _write(channel, destination, MessageKind.TEST, subject, "test", context, now)


def _write(
    channel: Channel, destination: str, kind: MessageKind, subject: str, template: str, context: Any, now: datetime
) -> Message:
    name = uuid.uuid4()
    message = Message(
        channel=channel.value,
        kind=kind.value,
        destination=destination,
        message_id=f"<{name}@{_domain()}>",
        subject=subject,
        created_at=now,
        next_attempt_at=now,
    )
    if channel is Channel.MAIL:
        message.text = render_to_string(f"limits/mail/{template}.txt", context)
        message.html = render_to_string(f"limits/mail/{template}.html", context)
    else:
        message.payload = _payload(name, kind, context, now)
    message.save()
    return message


def _context(alert: Alert, kind: MessageKind) -> dict[str, Any]:
    rule = alert.rule
    return {
        "alert": alert,
        "rule": rule,
        "kind": kind.value,
        "subject": f"{_PREFIXES.get(kind, '')}{rule.name}: {headline(alert)}"[:MAX_SUBJECT],
        "problem": _problem(alert),
        "begin": alert.last_minute - timedelta(seconds=rule.window) + MINUTE,
        "end": alert.last_minute + MINUTE,
        "figures": largest(rule, alert.group, alert.last_minute, FIGURES),
        "amounts": "highest" if rule.metric == AlertMetric.USAGE_RATIO else "denied",
        "places": "policy" if rule.metric == AlertMetric.USAGE_RATIO else "endpoint",
        "highest": in_words(alert.highest, rule),
        "alert_url": _url("admin:limits_alert_change", alert.pk),
        "client_url": _client_url(alert),
        "again_in": span_in_words(max(rule.cooldown, 60)),
    }


def headline(alert: Alert) -> str:
    """What happened to whom, as a person reads it."""
    rule, value = alert.rule, alert.value
    match AlertMetric(rule.metric):
        case AlertMetric.PLATFORM:
            return alert.group
        case AlertMetric.THROTTLED_RATIO:
            whose = f"{alert.group_name}: " if rule.group_by else ""
            return f"{whose}{in_percent(value)} of the requests denied in {_span(rule)}"
        case AlertMetric.USAGE_RATIO:
            return _reached(alert)
    whom = {
        GroupBy.CLIENT: f"{alert.group_name} was denied",
        GroupBy.ENDPOINT: f"{alert.group_name} denied",
        GroupBy.POLICY: f"policy {alert.group_name} denied",
    }.get(rule.group_by, "clients were denied")  # type: ignore[call-overload]
    times = "requests" if rule.group_by in (GroupBy.ENDPOINT, GroupBy.POLICY) else "times"
    return f"{whom} {value:,.0f} {times} in {_span(rule)}"


def _reached(alert: Alert) -> str:
    rule, percent = alert.rule, in_percent(alert.value)
    whose = alert.group_name if rule.group_by == GroupBy.CLIENT else rule.client_key or "a client"
    what = alert.group if rule.group_by == GroupBy.POLICY else rule.policy.slug if rule.policy else "a quota"
    where = f" on {alert.group_name}" if rule.group_by == GroupBy.ENDPOINT else ""
    return f"{whose} reached {percent} of {what}{where}"


def in_words(value: float, rule: AlertRule) -> str:
    """A value of a rule's metric: “60 requests denied”, “45 % denied”, “80 % of a quota”."""
    match AlertMetric(rule.metric):
        case AlertMetric.PLATFORM:
            return "a problem"
        case AlertMetric.THROTTLED_RATIO:
            return f"{in_percent(value)} denied"
        case AlertMetric.USAGE_RATIO:
            return f"{in_percent(value)} of a quota"
    return f"{value:,.0f} requests denied"


def _span(rule: AlertRule) -> str:
    return "a minute" if rule.window == 60 else span_in_words(rule.window)


def _rule_line(name: str, alerts: Sequence[Alert]) -> str:
    of_rule = [alert for alert in alerts if alert.rule.name == name]
    return f"{name}: {len(of_rule):,} ({of_rule[0].rule.sentence})"


def _problem(alert: Alert) -> str:
    """What is wrong with the platform, and what to do."""
    if alert.rule.metric != AlertMetric.PLATFORM:
        return ""
    found = {problem.name: problem.sentence for problem in problems.found(alert.last_minute + MINUTE)}
    return found.get(alert.group, "It is not there any more.")


def _digest_line(alert: Alert, rules: int) -> str:
    """With the name of its rule where there are several."""
    return headline(alert) if rules == 1 else f"{alert.rule.name}: {headline(alert)}"


def _payload(name: uuid.UUID, kind: MessageKind, context: Any, now: datetime) -> dict[str, Any]:
    alerts = context.get("alerts") or ([context["alert"]] if "alert" in context else [])
    return {
        "type": f"alert.{kind.value}",
        "id": str(name),
        "timestamp": now.isoformat(),
        "subject": context["subject"],
        "count": context.get("count", len(alerts)),
        "alerts": [_alert_payload(alert) for alert in alerts],
        "figures": [
            {"amount": each.amount, "client": each.client, context["places"]: each.place}
            for each in context.get("figures", ())
        ],
        **({"problem": context["problem"]} if context.get("problem") else {}),
    }


def _alert_payload(alert: Alert) -> dict[str, Any]:
    rule = alert.rule
    return {
        "id": alert.pk,
        "rule": rule.name,
        "metric": rule.metric,
        "threshold": rule.threshold,
        "window": rule.window,
        "group_by": rule.group_by or None,
        "group": alert.group_name,
        "value": alert.value,
        "highest": alert.highest,
        "opened_at": alert.opened_at.isoformat(),
        "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None,
        "url": _url("admin:limits_alert_change", alert.pk),
    }


def _client_url(alert: Alert) -> str:
    if alert.rule.group_by != GroupBy.CLIENT or not alert.group:
        return ""
    return f"{_url('admin:limits_client_changelist')}?{urlencode({'q': alert.group})}"


def _url(name: str, *arguments: object) -> str:
    return setting("PUBLIC_URL").rstrip("/") + reverse(name, args=arguments)


def _domain() -> str:
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
