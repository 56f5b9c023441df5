"""What the page of a client shows above its form."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from limits.admin.charts import Span, chart, of_days
from limits.admin.client_status import may_set_status
from limits.admin.quick_overrides import end_of, raisable
from limits.admin.standing import standing_of
from limits.domain.words import ClientStatus
from limits.models import Client, CounterReset
from limits.monitoring.figures import client_by_hour

DAYS = 14

_VERBS = {
    ClientStatus.ACTIVE: "Limit again…",
    ClientStatus.EXEMPT: "Exempt…",
    ClientStatus.BLOCKED: "Block…",
}


def page(request: HttpRequest, client: Client) -> dict[str, Any]:
    """Everything of it."""
    statuses = [status for status in ClientStatus if status != client.status]
    return standing(request, client) | {
        "statuses": [_action(client, status) for status in statuses if may_set_status(request, client.status, status)],
        "may_reset": request.user.has_perm("limits.reset_client"),
        "chart": chart(_days(client), "%-d %b", "%A %-d %B"),
        "resets": CounterReset.objects.filter(client_key=client.key)[:3],
    }


def _days(client: Client) -> list[Span]:
    """Whole days, of which the last is not over."""
    hours = (DAYS - 1) * 24 + timezone.now().hour + 1
    return of_days(client_by_hour(client.key, hours=hours))


def standing(request: HttpRequest, client: Client) -> dict[str, Any]:
    """The part that is asked for again and again."""
    return {
        "client": client,
        "standing": standing_of(client.key),
        **_offers(request, client),
    }


def _offers(request: HttpRequest, client: Client) -> dict[str, Any]:
    """``may_override``: whether something of it can be raised; ``until_sunday``: slugs of the policies that can be
    until then. Nothing is offered where no limit applies."""
    if client.status != ClientStatus.ACTIVE or not request.user.has_perm("limits.add_override"):
        return {"may_override": False, "until_sunday": set()}
    now = timezone.now()
    sunday = end_of("sunday", None, now) or now
    return {
        "may_override": raisable(client, now).exists(),
        "until_sunday": set(raisable(client, sunday).values_list("slug", flat=True)),
    }


def _action(client: Client, status: ClientStatus) -> tuple[str, str]:
    return _VERBS[status], reverse("admin:limits_client_status", args=[client.pk, status.value])
