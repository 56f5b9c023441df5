"""Reads and handles alerts, and the bodies of answers about them."""

from typing import Any

from django.db.models import Q
from django.utils import timezone

from api.management.alert_requests import AlertsPage, SilenceRequest
from api.problems import NOT_FOUND, ProblemResponse
from limits.domain.rule_items import text_of_moment
from limits.models import Alert
from limits.monitoring import handling


def page(wanted: AlertsPage) -> list[Alert]:
    """The alerts of a page, the newest first, and one more if another page follows."""
    rows = Alert.objects.select_related("rule")
    if wanted.state is not None:
        rows = rows.filter(_in_state(wanted.state))
    conditions = {"pk__lt": wanted.after, "rule__name": wanted.rule}
    rows = rows.filter(**{lookup: value for lookup, value in conditions.items() if value is not None})
    return list(rows.order_by("-pk")[: wanted.limit + 1])


def _in_state(state: str) -> Q:
    """As :attr:`Alert.state`, for the database."""
    if state == Alert.State.RESOLVED:
        return Q(resolved_at__isnull=False)
    silenced = Q(silenced_until__isnull=False, silenced_until__gt=timezone.now())
    if state == Alert.State.SILENCED:
        return Q(resolved_at=None) & silenced
    return Q(resolved_at=None, acknowledged_at__isnull=state == Alert.State.OPEN) & ~silenced


def find(pk: int) -> Alert:
    """The alert with this id. Raises :class:`ProblemResponse` (404) if there is none."""
    row = Alert.objects.select_related("rule").filter(pk=pk).first()
    if row is None:
        raise ProblemResponse(NOT_FOUND, f"There is no alert {pk}.")
    return row


def acknowledge(pk: int, author: str) -> Alert:
    """Ends the notifications until the alert is resolved, unless it is or somebody acknowledged it before. Returns the
    alert. Raises :class:`ProblemResponse`."""
    find(pk)
    handling.acknowledge(Alert.objects.filter(pk=pk), author, timezone.now())
    return find(pk)


def silence(pk: int, author: str, wanted: SilenceRequest) -> Alert:
    """Suspends the notifications. Returns the alert. Raises :class:`ProblemResponse`."""
    find(pk)
    handling.silence(Alert.objects.filter(pk=pk), wanted.until, author, wanted.reason)
    return find(pk)


def body(alert: Alert) -> dict[str, Any]:
    """An alert as the API shows it."""
    return {
        "id": alert.pk,
        "rule": alert.rule.name,
        "metric": alert.rule.metric,
        "group_by": alert.rule.group_by or None,
        "subject": alert.group_name,
        "state": alert.state.value,
        "value": alert.value,
        "highest": alert.highest,
        "since": text_of_moment(alert.opened_at),
        "last_fired_at": text_of_moment(alert.last_fired_at),
        "resolved_at": text_of_moment(alert.resolved_at),
        "notified_at": text_of_moment(alert.notified_at),
        "acknowledged_at": text_of_moment(alert.acknowledged_at),
        "acknowledged_by": alert.acknowledged_by or None,
        "silenced_until": text_of_moment(alert.silenced_until),
        "silenced_by": alert.silenced_by or None,
        "silence_reason": alert.silence_reason or None,
    }
