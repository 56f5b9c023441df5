"""Reading and changing the rows of clients. Each change is delivered after its commit."""

from typing import Any

from django.db import transaction

from api.management.requests import PageRequest
from api.problems import NOT_FOUND, Problem
from api.requests import invalid
from limits.domain.words import ClientStatus
from limits.models import Client, Plan
from limits.publishing import clients
from limits.publishing.delivery import Delivery

DEFAULTS: dict[str, Any] = {"name": "", "plan": None, "status": ClientStatus.ACTIVE.value}


def page(wanted: PageRequest) -> list[Client]:
    """One client more than the page holds, where there are more."""
    rows = Client.objects.select_related("plan").order_by("key").filter(key__gt=wanted.after)
    if wanted.plan is not None:
        rows = rows.filter(plan__slug=wanted.plan)
    if wanted.status is not None:
        rows = rows.filter(status=wanted.status)
    return list(rows[: wanted.limit + 1])


def find(key: str, *, locked: bool = False) -> Client:
    """The client of this key; ``locked``: until the transaction ends. Raises :class:`Problem` where
    nobody registered it."""
    rows = Client.objects.select_related("plan").filter(key=key)
    row = (rows.select_for_update(of=("self",)) if locked else rows).first()
    if row is None:
        raise Problem(NOT_FOUND, f"There is no registered client “{key}”.")
    return row


def put(key: str, fields: dict[str, Any]) -> tuple[Client, bool, Delivery]:
    """Registers the client, or gives it these fields and defaults for the others. Returns (row,
    whether it is new, what became of it). Raises :class:`Problem` for a plan that does not exist."""
    columns = _columns(DEFAULTS | fields)
    row, created = Client.objects.update_or_create(key=key, defaults=columns)
    return row, created, clients.deliver([key])


def patch(key: str, fields: dict[str, Any]) -> tuple[Client, Delivery]:
    """Changes these fields only. Raises :class:`Problem`."""
    columns = _columns(fields)
    with transaction.atomic():
        row = find(key, locked=True)
        for name, value in columns.items():
            setattr(row, name, value)
        row.save()
    return row, clients.deliver([key])


def delete(key: str) -> Delivery:
    """Removes the client; it is on the default plan from then on. Raises :class:`Problem`."""
    with transaction.atomic():
        find(key, locked=True).delete()
    return clients.deliver([key])


def _columns(fields: dict[str, Any]) -> dict[str, Any]:
    slug = fields.get("plan")
    if slug is None:
        return fields
    plan = Plan.objects.filter(slug=slug).first()
    if plan is None:
        raise invalid({"plan": [f"There is no plan “{slug}”."]})
    return fields | {"plan": plan}
