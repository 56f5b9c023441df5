"""What alert rules look at, from the rows of usage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from limits.domain.words import AlertMetric, GroupBy, Mode, Outcome
from limits.models import AlertRule, Policy
from limits.models.usage import OTHER, UNKNOWN_ENDPOINT
from limits.monitoring import problems
from limits.monitoring.spans import Span
from limits.monitoring.sql import execute

MINUTE = timedelta(minutes=1)

MOST_GROUPS = 5_000
"""Groups of one rule that one evaluation takes, those with the highest values."""

_COLUMNS = {GroupBy.CLIENT: "client_key", GroupBy.ENDPOINT: "endpoint", GroupBy.POLICY: "policy"}
_DENIED = f"AND outcome = '{Outcome.DENIED}'"
_ENFORCED = f"AND mode = '{Mode.ENFORCE}'"

Values = dict[str, float]
"""Group → the value of the metric, where it is at the threshold or above; ``""`` where a rule has no groups."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of what is behind a value: an amount, whose it is, and where."""

    amount: str
    client: str
    place: str


@dataclass(frozen=True, slots=True)
class Condition:
    """The end of a WHERE, beginning with AND, and its parameters."""

    text: str = ""
    parameters: tuple[object, ...] = ()

    def __add__(self, other: "Condition") -> "Condition":
        return Condition(f"{self.text} {other.text}", self.parameters + other.parameters)


def minute_of(moment: datetime) -> datetime:
    """The beginning of its minute."""
    return moment.replace(second=0, microsecond=0)


@transaction.atomic
def values(rule: AlertRule, last_minute: datetime) -> Values:
    """Where the rule fires: its metric over its window, which ends with ``last_minute``, included."""
    return _METRICS[AlertMetric(rule.metric)](rule, last_minute)


def _throttled(rule: AlertRule, last_minute: datetime) -> Values:
    """A request that two policies denied is one denied request, unless policies are asked about."""
    return _grouped("sum(requests)::bigint", rule, _denied_rows(rule, last_minute), rule.threshold)


def _denied_rows(rule: AlertRule, last_minute: datetime) -> tuple[str, list[object]]:
    span = _window(rule, last_minute)
    if _is_about_policies(rule):
        condition = Condition(_ENFORCED) + _of_policy(rule) + filters(rule)
        return span.denials(condition.text), span.parameters(*condition.parameters)
    condition = Condition(_DENIED) + filters(rule)
    return span.usage(condition.text), span.parameters(*condition.parameters)


def _throttled_ratio(rule: AlertRule, last_minute: datetime) -> Values:
    if _is_about_policies(rule):
        return _throttled_ratio_of_policies(rule, last_minute)
    span, condition = _window(rule, last_minute), filters(rule)
    ratio = f"sum(requests) FILTER (WHERE outcome = '{Outcome.DENIED}') / sum(requests)"
    rows = span.usage(condition.text), span.parameters(*condition.parameters)
    return _grouped(ratio, rule, rows, rule.threshold, rule.min_requests)


def _throttled_ratio_of_policies(rule: AlertRule, last_minute: datetime) -> Values:
    """What a policy denied, of all requests that it applied to: those on its endpoint, by its plan."""
    table, parameters = _denied_rows(rule, last_minute)
    denied = dict(execute(f"SELECT policy, sum(requests)::bigint FROM {table} GROUP BY 1", parameters))
    found: Values = {}
    for policy in Policy.objects.select_related("plan", "endpoint").filter(slug__in=denied):
        requests = _requests_met_by(policy, rule, last_minute)
        ratio = denied[policy.slug] / max(requests, denied[policy.slug])
        if requests >= rule.min_requests and ratio >= rule.threshold:
            found[policy.slug] = ratio
    return found if rule.group_by == GroupBy.POLICY else {"": max(found.values())} if found else {}


def _requests_met_by(policy: Policy, rule: AlertRule, last_minute: datetime) -> int:
    span, condition = _window(rule, last_minute), filters(rule)
    if policy.endpoint is not None:
        condition += Condition("AND endpoint = %s", (policy.endpoint.slug,))
    if policy.plan is not None:
        condition += _on_plan(policy.plan.pk, is_default=policy.plan.is_default)
    statement = f"SELECT coalesce(sum(requests), 0)::bigint FROM {span.usage(condition.text)}"
    return int(execute(statement, span.parameters(*condition.parameters))[0][0])


def _usage_ratio(rule: AlertRule, last_minute: datetime) -> Values:
    """The highest mark that was crossed, at the threshold or above."""
    table, parameters = _crossings(rule, last_minute)
    return _grouped("max(mark) / 100.0", rule, (f"({table}) AS rows", parameters), rule.threshold)


def _crossings(rule: AlertRule, last_minute: datetime) -> tuple[str, list[object]]:
    span = _window(rule, last_minute)
    condition = filters(rule) + _of_policy(rule)
    if rule.group_by == GroupBy.CLIENT:
        # Where a policy counts everybody together, it was no client that reached its quota.
        condition += Condition("AND client_key <> ''")
    statement = (
        "SELECT minute, client_key, endpoint, policy, mark, requests FROM limits_quotacrossing "
        f"WHERE minute >= %s AND minute < %s AND mark >= %s {condition.text}"
    )
    return statement, [span.begin, span.end, round(rule.threshold * 100), *condition.parameters]


def _platform(rule: AlertRule, last_minute: datetime) -> Values:
    return {problem.name: 1.0 for problem in problems.found(last_minute + MINUTE)}


_METRICS: dict[AlertMetric, Callable[[AlertRule, datetime], Values]] = {
    AlertMetric.THROTTLED: _throttled,
    AlertMetric.THROTTLED_RATIO: _throttled_ratio,
    AlertMetric.USAGE_RATIO: _usage_ratio,
    AlertMetric.PLATFORM: _platform,
}


def _grouped(value: str, rule: AlertRule, rows: tuple[str, list[object]], threshold: float, least: int = 1) -> Values:
    """The value of each group of rows, from the threshold on, in groups of at least so many requests."""
    table, parameters = rows
    group = _COLUMNS[GroupBy(rule.group_by)] if rule.group_by else "''"
    statement = (
        f"SELECT {group}, {value} FROM {table} GROUP BY 1 "
        f"HAVING {value} >= %s AND sum(requests) >= %s ORDER BY 2 DESC, 1 LIMIT %s"
    )
    found = execute(statement, [*parameters, threshold, least, MOST_GROUPS])
    return {name: float(number) for name, number in found}


def _window(rule: AlertRule, last_minute: datetime) -> Span:
    end = last_minute + MINUTE
    return Span.between(end - timedelta(seconds=rule.window), end)


def _is_about_policies(rule: AlertRule) -> bool:
    return rule.policy is not None or rule.group_by == GroupBy.POLICY


def _of_policy(rule: AlertRule) -> Condition:
    return Condition("AND policy = %s", (rule.policy.slug,)) if rule.policy else Condition()


def filters(rule: AlertRule) -> Condition:
    """Which requests a rule looks at; the plan is the one that a client is on now."""
    condition = Condition()
    if rule.client_key:
        condition += Condition("AND client_key = %s", (rule.client_key,))
    if rule.endpoint is not None:
        condition += Condition("AND endpoint = %s", (rule.endpoint.slug,))
    if rule.plan is not None:
        condition += _on_plan(rule.plan.pk, is_default=rule.plan.is_default)
    return condition


def _on_plan(plan: int, *, is_default: bool) -> Condition:
    """The default plan also has everyone who is not registered."""
    if is_default:
        elsewhere = "SELECT FROM limits_client WHERE key = client_key AND plan_id <> %s"
        return Condition(f"AND NOT EXISTS ({elsewhere})", (plan,))
    return Condition("AND client_key IN (SELECT key FROM limits_client WHERE plan_id = %s)", (plan,))


@transaction.atomic
def largest(rule: AlertRule, group: str, last_minute: datetime, count: int) -> Sequence[Figure]:
    """What is behind the value of a group, the largest first."""
    match AlertMetric(rule.metric):
        case AlertMetric.PLATFORM:
            return []
        case AlertMetric.USAGE_RATIO:
            return _highest_crossings(rule, group, last_minute, count)
    table, parameters = _denied_rows(rule, last_minute)
    statement = (
        f"SELECT client_key, endpoint, sum(requests)::bigint FROM {table} {_in_group(rule)} "
        "GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT %s"
    )
    rows = execute(statement, [*parameters, *([group] if rule.group_by else []), count])
    return [
        Figure(f"{requests:,}", client or OTHER, endpoint or UNKNOWN_ENDPOINT) for client, endpoint, requests in rows
    ]


def _highest_crossings(rule: AlertRule, group: str, last_minute: datetime, count: int) -> Sequence[Figure]:
    table, parameters = _crossings(rule, last_minute)
    statement = (
        f"SELECT client_key, policy, max(mark) FROM ({table}) AS rows {_in_group(rule)} "
        "GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT %s"
    )
    rows = execute(statement, [*parameters, *([group] if rule.group_by else []), count])
    return [Figure(f"{mark} %", client or OTHER, policy) for client, policy, mark in rows]


def _in_group(rule: AlertRule) -> str:
    return f"WHERE {_COLUMNS[GroupBy(rule.group_by)]} = %s" if rule.group_by else ""
