"""What alert rules look at, from the rows that the drain wrote."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet, Sum

from limits.domain.words import GroupBy, Mode, Outcome
from limits.models import AlertRule, Client, PolicyDenial, Usage

_COLUMNS = {GroupBy.CLIENT: "client_key", GroupBy.ENDPOINT: "endpoint", GroupBy.POLICY: "policy"}


@dataclass(frozen=True, slots=True)
class Figure:
    """Denied requests of one client on one endpoint."""

    client: str
    endpoint: str
    requests: int


def minute_of(moment: datetime) -> datetime:
    """The beginning of its minute."""
    return moment.replace(second=0, microsecond=0)


def denied(rule: AlertRule, last_minute: datetime) -> dict[str, int]:
    """Group → requests denied in the rule's window, which ends with ``last_minute``, that minute
    included; only groups at the threshold or above. One group, ``""``, where the rule has none."""
    rows = _in_window(rule, last_minute)
    at_least = {"total__gte": rule.threshold}
    if not rule.group_by:
        total = rows.aggregate(total=Sum("requests"))["total"] or 0
        return {"": total} if total >= rule.threshold else {}
    column = _COLUMNS[GroupBy(rule.group_by)]
    groups = rows.order_by().values_list(column).annotate(total=Sum("requests")).filter(**at_least)
    return dict(groups)


def largest(rule: AlertRule, group: str, last_minute: datetime, count: int) -> Sequence[Figure]:
    """The clients and endpoints behind a group's figure, the largest first."""
    rows = _in_window(rule, last_minute)
    if rule.group_by:
        rows = rows.filter(**{_COLUMNS[GroupBy(rule.group_by)]: group})
    totals = rows.order_by().values_list("client_key", "endpoint").annotate(total=Sum("requests"))
    return [Figure(*row) for row in totals.order_by("-total", "client_key", "endpoint")[:count]]


def _in_window(rule: AlertRule, last_minute: datetime) -> QuerySet[Any]:
    begin = last_minute - timedelta(seconds=rule.window)
    return _rows(rule).filter(_filters(rule), minute__gt=begin, minute__lte=last_minute)


def _rows(rule: AlertRule) -> QuerySet[Any]:
    """A request that two policies denied is one denied request, unless policies are asked about."""
    if rule.policy is not None:
        return PolicyDenial.objects.filter(mode=Mode.ENFORCE.value, policy=rule.policy.slug)
    if rule.group_by == GroupBy.POLICY:
        return PolicyDenial.objects.filter(mode=Mode.ENFORCE.value)
    return Usage.objects.filter(outcome=Outcome.DENIED.value)


def _filters(rule: AlertRule) -> Q:
    filters = Q()
    if rule.client_key:
        filters &= Q(client_key=rule.client_key)
    if rule.endpoint is not None:
        filters &= Q(endpoint=rule.endpoint.slug)
    if rule.plan is not None:
        filters &= _on_plan(rule)
    return filters


def _on_plan(rule: AlertRule) -> Q:
    """Clients that are on the plan now; the default plan also has everyone who is not registered."""
    if rule.plan is not None and rule.plan.is_default:
        elsewhere = Client.objects.exclude(plan=None).exclude(plan=rule.plan)
        return ~Q(client_key__in=elsewhere.values("key"))
    return Q(client_key__in=Client.objects.filter(plan=rule.plan).values("key"))
