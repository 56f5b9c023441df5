"""Messages about alerts, written to an outbox in the transaction that changes the alerts.

Emails are for people, webhooks for programs; both contain the same information. Services such as Slack get a few lines.
"""

import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from limits.domain.alert_actions import LINKED_ACTIONS
from limits.domain.alert_rules import format_minutes, format_percent, units_of_cost
from limits.domain.descriptions import quantity
from limits.models import Alert, AlertRule, Message, NotificationChannel
from limits.monitoring import problems
from limits.monitoring.metrics import ONE_MINUTE, largest_contributions
from limits.monitoring.outbox import MAX_SUBJECT, Draft, put, url_of
from ratelimit_enforcer.domain.enums import AlertMetric, Channel, GroupBy, MessageKind

MAX_FIGURES = 10
"""Maximum number of lines with figures in a message."""

MAX_DIGEST_LINES = 50
"""Maximum number of alerts listed in a digest."""

_PREFIXES = {
    MessageKind.REMINDER: "Reminder: ",
    MessageKind.ACKNOWLEDGED: "Acknowledged: ",
    MessageKind.RESOLVED: "Resolved: ",
    MessageKind.TEST: "Test: ",
}
_AMOUNTS = {
    AlertMetric.USAGE_RATIO: "highest",
    AlertMetric.OVERDRAWN: "overdrawn",
    AlertMetric.OVER_QUOTA: "over quota",
}
"""The heading of the figures in a message, where it is not “denied”."""
_VERBS = {MessageKind.OPENED: "opened", MessageKind.REMINDER: "still open", MessageKind.RESOLVED: "resolved"}


Contexts = dict[int, dict[str, Any]]
"""Alert → context of its messages of one kind, computed once for all recipients."""


def write_message(
    channel: Channel,
    destination: str,
    alert: Alert,
    kind: MessageKind,
    now: datetime,
    contexts: Contexts | None = None,
) -> Message:
    """Writes a message about one alert to the outbox, and returns it. ``destination`` is an email address, a URL
    or the slug of a notification channel; ``contexts`` shares the figures of an alert between messages of one kind."""
    contexts = {} if contexts is None else contexts
    if alert.pk not in contexts:
        contexts[alert.pk] = _context(alert, kind)
    context = contexts[alert.pk]
    message = _write(channel, destination, kind, "alert", context, _event(alert, kind), now)
    message.alerts.add(alert)
    return message


def write_digest(
    channel: Channel, destination: str, alerts: Sequence[Alert], kind: MessageKind, now: datetime
) -> Message:
    """Writes one message about many alerts to the outbox; ``kind`` is what happened to all of them."""
    highest = sorted(alerts, key=lambda alert: (-alert.value, alert.group_name))
    names = sorted({alert.rule.name for alert in alerts})
    rules = names[0] if len(names) == 1 else f"{len(names)} rules"
    context: dict[str, Any] = {
        "subject": f"{rules}: {len(alerts):,} alerts {_VERBS[kind]}"[:MAX_SUBJECT],
        "count": len(alerts),
        "verb": _VERBS[kind],
        "rules": [_rule_line(name, alerts) for name in names],
        "alerts": highest[:MAX_DIGEST_LINES],
        "lines": [
            (_digest_line(alert, len(names)), url_of("admin:limits_alert_change", alert.pk))
            for alert in highest[:MAX_DIGEST_LINES]
        ],
        "more": len(alerts) - MAX_DIGEST_LINES,
        "alerts_url": f"{url_of('admin:limits_alert_changelist')}?{urlencode({'resolved_at__isempty': '1'})}",
    }
    event = {"level": _LEVELS.get(kind, "info"), "url": context["alerts_url"]}
    message = _write(channel, destination, MessageKind.DIGEST, "digest", context, event, now)
    message.alerts.add(*alerts)
    return message


def write_test(channel: Channel, destination: str, rule: AlertRule, now: datetime) -> Message:
    """Writes a test message about a rule to the outbox, and returns it: it shows how messages of the rule arrive."""
    subject = f"{_PREFIXES[MessageKind.TEST]}{rule.name}"[:MAX_SUBJECT]
    url = url_of("admin:limits_alertrule_change", rule.pk)
    context: dict[str, Any] = {"subject": subject, "rule": rule, "rule_url": url}
    return _write(channel, destination, MessageKind.TEST, "test", context, {"url": url}, now)


def write_channel_test(channel: NotificationChannel, now: datetime) -> Message:
    """Writes a test message to a notification channel to the outbox, and returns it."""
    context = {"subject": f"{_PREFIXES[MessageKind.TEST]}{channel.slug}"}
    event = {"url": url_of("admin:limits_notificationchannel_change", channel.pk)}
    return _write(Channel.SERVICE, channel.slug, MessageKind.TEST, "test", context, event, now)


def _write(
    channel: Channel,
    destination: str,
    kind: MessageKind,
    template: str,
    context: Any,
    event: dict[str, Any],
    now: datetime,
) -> Message:
    payload = partial(_payload, kind=kind, context=context, now=now)
    return put(Draft(kind, context["subject"], template, context, payload, event), channel, destination, now)


_LEVELS = {
    MessageKind.OPENED: "warning",
    MessageKind.REMINDER: "warning",
    MessageKind.RESOLVED: "success",
}


def _event(alert: Alert, kind: MessageKind) -> dict[str, Any]:
    """All messages about an alert belong to one incident, whose key is the address of its page."""
    page = url_of("admin:limits_alert_change", alert.pk)
    level = _LEVELS.get(kind, "info")
    if level == "warning" and alert.rule.metric == AlertMetric.PLATFORM:
        level = "failure"
    return {"level": level, "key": page, "url": page, "resolved": kind is MessageKind.RESOLVED}


def _context(alert: Alert, kind: MessageKind) -> dict[str, Any]:
    rule = alert.rule
    return {
        "alert": alert,
        "rule": rule,
        "kind": kind.value,
        "subject": f"{_PREFIXES.get(kind, '')}{rule.name}: {headline(alert)}"[:MAX_SUBJECT],
        "problem": _problem(alert),
        "begin": alert.last_minute - timedelta(seconds=rule.window) + ONE_MINUTE,
        "end": alert.last_minute + ONE_MINUTE,
        "figures": largest_contributions(rule, alert.group, alert.last_minute, MAX_FIGURES),
        "amounts": _AMOUNTS.get(AlertMetric(rule.metric), "denied"),
        "places": "policy" if rule.metric == AlertMetric.USAGE_RATIO else "endpoint",
        "highest": format_value(alert.highest, rule),
        "alert_url": url_of("admin:limits_alert_change", alert.pk),
        "actions": list(_action_links(alert)),
        "client_url": _client_url(alert),
        "again_in": format_minutes(max(rule.cooldown, 60)),
    }


def _action_links(alert: Alert) -> Iterator[tuple[str, str]]:
    """Yields (label, address) of the pages that acknowledge or silence the alert after a confirmation: mail servers
    follow links to look for malware."""
    page = url_of("admin:limits_alert_handle", alert.pk)
    for action, label in LINKED_ACTIONS:
        yield label, f"{page}?{urlencode({'action': action})}"


def headline(alert: Alert) -> str:
    """Returns a sentence with the event and the client, endpoint or policy concerned."""
    rule, value = alert.rule, alert.value
    named = f"{alert.group_name}: " if rule.group_by else ""
    match AlertMetric(rule.metric):
        case AlertMetric.PLATFORM:
            return alert.group
        case AlertMetric.THROTTLED_RATIO:
            return f"{named}{format_percent(value)} of the requests denied in {_window_in_words(rule)}"
        case AlertMetric.OVERDRAWN:
            return f"{named}{format_value(value, rule)} in {_window_in_words(rule)}"
        case AlertMetric.USAGE_RATIO:
            return _threshold_headline(alert)
    subject = {
        GroupBy.CLIENT: f"{alert.group_name} was denied",
        GroupBy.ENDPOINT: f"{alert.group_name} denied",
        GroupBy.POLICY: f"policy {alert.group_name} denied",
    }.get(rule.group_by, "clients were denied")  # type: ignore[call-overload]
    noun = "request" if rule.group_by in (GroupBy.ENDPOINT, GroupBy.POLICY) else "time"
    return f"{subject} {quantity(value, noun)} in {_window_in_words(rule)}"


def _threshold_headline(alert: Alert) -> str:
    rule, percent = alert.rule, format_percent(alert.value)
    subject = alert.group_name if rule.group_by == GroupBy.CLIENT else rule.client_key or "a client"
    what = alert.group if rule.group_by == GroupBy.POLICY else rule.policy.slug if rule.policy else "a quota"
    place = f" on {alert.group_name}" if rule.group_by == GroupBy.ENDPOINT else ""
    return f"{subject} reached {percent} of {what}{place}"


def format_value(value: float, rule: AlertRule) -> str:
    """Returns a value of a rule's metric in words: “60 requests denied”, “45 % denied”, “80 % of a quota”,
    “500 units of cost overdrawn”."""
    match AlertMetric(rule.metric):
        case AlertMetric.PLATFORM:
            return "platform problem"
        case AlertMetric.THROTTLED_RATIO:
            return f"{format_percent(value)} denied"
        case AlertMetric.USAGE_RATIO:
            return f"{format_percent(value)} of a quota"
        case AlertMetric.OVERDRAWN:
            return f"{units_of_cost(value)} overdrawn"
        case AlertMetric.OVER_QUOTA:
            return f"{units_of_cost(value)} over quota"
    return f"{quantity(value, 'request')} denied"


def _window_in_words(rule: AlertRule) -> str:
    return "a minute" if rule.window == 60 else format_minutes(rule.window)


def _rule_line(name: str, alerts: Sequence[Alert]) -> str:
    of_rule = [alert for alert in alerts if alert.rule.name == name]
    return f"{name}: {len(of_rule):,} ({of_rule[0].rule.sentence})"


def _problem(alert: Alert) -> str:
    """Returns the platform's problem and what to do about it."""
    if alert.rule.metric != AlertMetric.PLATFORM:
        return ""
    found = {problem.name: problem.sentence for problem in problems.current_problems(alert.last_minute + ONE_MINUTE)}
    return found.get(alert.group, "The problem no longer exists.")


def _digest_line(alert: Alert, rules: int) -> str:
    """Includes the name of the rule if there are several."""
    return headline(alert) if rules == 1 else f"{alert.rule.name}: {headline(alert)}"


def _payload(name: uuid.UUID, *, kind: MessageKind, context: Any, now: datetime) -> dict[str, Any]:
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
        "url": url_of("admin:limits_alert_change", alert.pk),
    }


def _client_url(alert: Alert) -> str:
    if alert.rule.group_by != GroupBy.CLIENT or not alert.group:
        return ""
    return f"{url_of('admin:limits_client_changelist')}?{urlencode({'q': alert.group})}"
