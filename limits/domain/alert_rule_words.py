"""An alert rule in words for its form: whom it notifies of what, and the fields that its metric uses."""

from collections.abc import Iterator

from limits.domain.alert_rules import SECONDS_PER_MINUTE, AlertRule, alert_rule_sentence, format_minutes
from limits.domain.descriptions import quantity
from ratelimit_enforcer.domain.enums import AlertMetric

_FILTERS = ("client_key", "plan", "endpoint", "policy")

UNUSED_FIELDS: dict[AlertMetric, tuple[str, ...]] = {
    AlertMetric.THROTTLED: ("min_requests",),
    AlertMetric.THROTTLED_RATIO: (),
    AlertMetric.USAGE_RATIO: ("min_requests",),
    AlertMetric.OVERDRAWN: ("min_requests", "policy"),
    AlertMetric.OVER_QUOTA: ("min_requests",),
    AlertMetric.PLATFORM: ("threshold", "min_requests", "window", "group_by", *_FILTERS),
}
"""Metric → the fields of a rule that it does not use."""


def notification_sentence(rule: AlertRule) -> str:
    """Returns “Notifies ops@example.com: 50 requests denied in 1 minute, for each client; at most one message every
    10 minutes about the same subject; also when resolved.”"""
    parts = [f"Notifies {', '.join(_recipients(rule))}: {alert_rule_sentence(rule)}"]
    if rule.cooldown:
        parts.append(f"at most one message every {_duration(rule.cooldown)} about the same subject")
    if rule.notify_resolved:
        parts.append("also when resolved")
    return "; ".join(parts) + "."


def _recipients(rule: AlertRule) -> Iterator[str]:
    yield from rule.emails
    if rule.webhooks:
        yield quantity(len(rule.webhooks), "webhook")
    yield from rule.channels


def _duration(seconds: int) -> str:
    return quantity(seconds, "second") if seconds % SECONDS_PER_MINUTE else format_minutes(seconds)
