"""What the page of a client shows above its form."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from limits.admin.charts import Span, chart, of_days
from limits.admin.client_status import may_set_status
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
        "may_override": request.user.has_perm("limits.add_override"),
    }


def _action(client: Client, status: ClientStatus) -> tuple[str, str]:
    return _VERBS[status], reverse("admin:limits_client_status", args=[client.pk, status.value])
