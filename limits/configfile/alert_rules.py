"""The section ``alert_rules`` of the config file: plain data → domain → rows, and back."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from limits.domain.alerting import AlertRule, alert_rule_problems
from limits.domain.problems import Problem
from limits.domain.words import AlertMetric, GroupBy
from limits.models import AlertRule as AlertRuleRow
from limits.models import Endpoint, Plan, Policy
from limits.models.alerts import webhook_problems

MAX_EMAIL_LENGTH = 254
"""RFC 3696, erratum 1690; the column is as long."""

_NO_GROUPS = (None, "none")
_OPTIONAL = ("window", "cooldown", "min_requests", "notify_resolved")


def alert_rule(item: dict[str, Any]) -> AlertRule:
    """One item of the section."""
    group_by = item.get("group_by")
    optional = {name: item[name] for name in _OPTIONAL if name in item}
    return AlertRule(
        name=item["name"],
        metric=AlertMetric(item["metric"]),
        threshold=item["threshold"],
        client=item.get("client"),
        plan=item.get("plan"),
        endpoint=item.get("endpoint"),
        policy=item.get("policy"),
        group_by=None if group_by in _NO_GROUPS else GroupBy(group_by),
        emails=tuple(item.get("emails", ())),
        webhooks=tuple(item.get("webhooks", ())),
        **optional,
    )


def content_problems(items: Sequence[dict[str, Any]]) -> Iterator[Problem]:
    """Yields what is wrong with the items, as far as that needs no database."""
    for at, item in enumerate(items):
        for field, message in alert_rule_problems(alert_rule(item)):
            yield Problem(("alert_rules", at, field), message)
        for position, address in enumerate(item.get("emails", ())):
            if not _is_address(address):
                yield Problem(("alert_rules", at, "emails", position), "must be a mail address.")
        for field, message in webhook_problems(item.get("webhooks", ())):
            yield Problem(("alert_rules", at, field), message)


def _is_address(text: str) -> bool:
    if len(text) > MAX_EMAIL_LENGTH:
        return False
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True


def write_alert_rules(rules: Sequence[AlertRule]) -> None:
    """Creates and changes rules; the name tells one from another."""
    plans = {row.slug: row for row in Plan.objects.all()}
    endpoints = {row.slug: row for row in Endpoint.objects.all()}
    policies = {row.slug: row for row in Policy.objects.all()}
    for rule in rules:
        AlertRuleRow.objects.update_or_create(
            name=rule.name,
            defaults={
                "metric": rule.metric.value,
                "threshold": rule.threshold,
                "window": rule.window,
                "client_key": rule.client or "",
                "plan": plans.get(rule.plan or ""),
                "endpoint": endpoints.get(rule.endpoint or ""),
                "policy": policies.get(rule.policy or ""),
                "group_by": rule.group_by.value if rule.group_by else "",
                "cooldown": rule.cooldown,
                "emails": list(rule.emails),
                "webhooks": list(rule.webhooks),
                "min_requests": rule.min_requests,
                "notify_resolved": rule.notify_resolved,
            },
        )


def alert_rule_item(rule: AlertRule) -> dict[str, Any]:
    """A rule as the file has it."""
    threshold = int(rule.threshold) if rule.threshold == int(rule.threshold) else rule.threshold
    item = {
        "name": rule.name,
        "metric": rule.metric.value,
        "threshold": threshold,
        "window": rule.window,
        "client": rule.client,
        "plan": rule.plan,
        "endpoint": rule.endpoint,
        "policy": rule.policy,
        "group_by": rule.group_by.value if rule.group_by else None,
        "cooldown": rule.cooldown,
        "emails": list(rule.emails) or None,
        "webhooks": list(rule.webhooks) or None,
        "min_requests": rule.min_requests if rule.min_requests > 1 else None,
        "notify_resolved": rule.notify_resolved or None,
    }
    return {name: value for name, value in item.items() if value is not None}
