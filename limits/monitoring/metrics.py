"""The metrics of alert rules, computed from the rows of usage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from limits.models import AlertRule, Policy
from limits.models.usage import OTHER, UNKNOWN_ENDPOINT
from limits.monitoring import problems
from limits.monitoring.rollups import TimeRange
from limits.monitoring.statements import Statements
from ratelimit_enforcer.domain.enums import AlertMetric, GroupBy

ONE_MINUTE = timedelta(minutes=1)

MAX_GROUPS = 5_000
"""Maximum number of groups of one rule in one evaluation, those with the highest values."""

_SQL = Statements("metrics")

Values = dict[str, float]
"""Group → value of the metric, if it is at least the threshold; the group is ``""`` for a rule without
groups."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the details of a value: the amount, the client, and the endpoint or policy (``place``)."""

    amount: str
    client: str
    place: str


def minute_of(moment: datetime) -> datetime:
    """Returns the beginning of the minute of ``moment``."""
    return moment.replace(second=0, microsecond=0)


@transaction.atomic
def firing_values(rule: AlertRule, last_minute: datetime) -> Values:
    """Returns the groups in which the rule fires, with the value of the metric over the window that ends with
    ``last_minute``, inclusive."""
    return _METRICS[AlertMetric(rule.metric)](rule, last_minute)


def _throttled(rule: AlertRule, last_minute: datetime) -> Values:
    """A request denied by two policies is one denied request, unless the rule is about policies."""
    statement = "denials_by_policies" if _is_about_policies(rule) else "denied_requests"
    return _found(_SQL.rows(statement, **_of_rule(rule, last_minute)))


def _throttled_ratio(rule: AlertRule, last_minute: datetime) -> Values:
    if _is_about_policies(rule):
        return _throttled_ratio_of_policies(rule, last_minute)
    return _found(_SQL.rows("denied_ratio", **_of_rule(rule, last_minute) | {"min_requests": rule.min_requests}))


def _throttled_ratio_of_policies(rule: AlertRule, last_minute: datetime) -> Values:
    """Denials of a policy as a fraction of the requests that it applied to: those on its endpoint, by clients
    of its plan."""
    every_policy = {"group_by": GroupBy.POLICY.value, "threshold": 0, "count": None}
    denied: dict[str, int] = dict(_SQL.rows("denials_by_policies", **_of_rule(rule, last_minute) | every_policy))
    found: Values = {}
    for policy in Policy.objects.select_related("plan", "endpoint").filter(slug__in=denied):
        requests = _SQL.number("requests_under_policy", **_of_rule(rule, last_minute), **_of_policy(policy))
        ratio = denied[policy.slug] / max(requests, denied[policy.slug])
        if requests >= rule.min_requests and ratio >= rule.threshold:
            found[policy.slug] = ratio
    return found if rule.group_by == GroupBy.POLICY else {"": max(found.values())} if found else {}


def _usage_ratio(rule: AlertRule, last_minute: datetime) -> Values:
    """The highest quota threshold reached, if it is at least the rule's threshold."""
    return _found(_SQL.rows("quota_usage_ratio", **_of_rule(rule, last_minute)))


def _overdrawn(rule: AlertRule, last_minute: datetime) -> Values:
    return _found(_SQL.rows("overdrawn_cost", **_of_rule(rule, last_minute)))


def _over_quota(rule: AlertRule, last_minute: datetime) -> Values:
    return _found(_SQL.rows("units_over_quota", **_of_rule(rule, last_minute)))


def _platform(rule: AlertRule, last_minute: datetime) -> Values:
    return {problem.name: 1.0 for problem in problems.current_problems(last_minute + ONE_MINUTE)}


_METRICS: dict[AlertMetric, Callable[[AlertRule, datetime], Values]] = {
    AlertMetric.THROTTLED: _throttled,
    AlertMetric.THROTTLED_RATIO: _throttled_ratio,
    AlertMetric.USAGE_RATIO: _usage_ratio,
    AlertMetric.OVERDRAWN: _overdrawn,
    AlertMetric.OVER_QUOTA: _over_quota,
    AlertMetric.PLATFORM: _platform,
}


def _found(rows: Sequence[tuple[Any, ...]]) -> Values:
    return {name: float(number) for name, number in rows}


def _is_about_policies(rule: AlertRule) -> bool:
    return rule.policy is not None or rule.group_by == GroupBy.POLICY


def _of_rule(rule: AlertRule, last_minute: datetime) -> dict[str, object]:
    """Returns the parameters of the statements: the period, the filters, and the groups that are looked for."""
    end = last_minute + ONE_MINUTE
    return {
        **TimeRange.between(end - timedelta(seconds=rule.window), end).parameters(),
        "client": rule.client_key or None,
        "endpoint": rule.endpoint.slug if rule.endpoint else None,
        "plan": rule.plan.pk if rule.plan else None,
        "plan_is_default": bool(rule.plan and rule.plan.is_default),
        "policy": rule.policy.slug if rule.policy else None,
        "group_by": rule.group_by,
        "threshold": rule.threshold,
        "min_mark": round(rule.threshold * 100),
        "min_requests": 1,
        "count": MAX_GROUPS,
    }


def _of_policy(policy: Policy) -> dict[str, object]:
    return {
        "policy_endpoint": policy.endpoint.slug if policy.endpoint else None,
        "policy_plan": policy.plan.pk if policy.plan else None,
        "policy_plan_is_default": bool(policy.plan and policy.plan.is_default),
    }


@transaction.atomic
def largest_contributions(rule: AlertRule, group: str, last_minute: datetime, count: int) -> Sequence[Figure]:
    """Returns the ``count`` largest contributions to the value of a group, largest first."""
    parameters = _of_rule(rule, last_minute) | {"group": group, "count": count}
    match AlertMetric(rule.metric):
        case AlertMetric.PLATFORM:
            return []
        case AlertMetric.USAGE_RATIO:
            rows = _SQL.rows("highest_quota_usage", **parameters)
            return [Figure(f"{mark} %", client or OTHER, policy) for client, policy, mark in rows]
        case AlertMetric.OVER_QUOTA:
            rows = _SQL.rows("most_units_over_quota", **parameters)
            return [Figure(f"{units:,}", client or OTHER, policy) for client, policy, units in rows]
    rows = _SQL.rows(_statement_of_contributions(rule), **parameters)
    return [Figure(f"{amount:,}", client or OTHER, endpoint or UNKNOWN_ENDPOINT) for client, endpoint, amount in rows]


def _statement_of_contributions(rule: AlertRule) -> str:
    if rule.metric == AlertMetric.OVERDRAWN:
        return "most_overdrawn_cost"
    return "most_denials_by_policies" if _is_about_policies(rule) else "most_denied_requests"
