"""Reads and changes the rows of clients. Each change is delivered to Redis after the commit."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet, RestrictedError, Value
from django.db.models.functions import Collate, Concat

from api.management.requests import PageRequest
from api.problems import HAS_CHILDREN, NOT_FOUND, ProblemResponse
from api.requests import invalid
from limits.domain.descriptions import quantity
from limits.models import Client, Plan
from limits.models.trees import lock_trees, tree_problems
from limits.publishing import clients
from limits.publishing.rules import Delivery
from ratelimit_enforcer.domain.enums import ClientStatus
from ratelimit_enforcer.domain.validation import capitalized

DEFAULTS: dict[str, Any] = {"name": "", "plan": None, "status": ClientStatus.ACTIVE.value, "tags": (), "parent": None}


MAX_SORTED_ROWS = 10_000
"""Fewer clients with some tags or below a parent are sorted by an expression without an index. PostgreSQL would
otherwise read clients in the order of their keys until a page is full: a million, if the last ones match."""


def page(wanted: PageRequest) -> list[Client]:
    """The clients of a page, and one more if another page follows."""
    return list(selected(wanted)[: wanted.limit + 1])


def selected(wanted: PageRequest) -> QuerySet[Client]:
    """The clients of a page and of all following ones, in the order of the code points of their keys."""
    # The order of a language does not keep keys with the same beginning together, so its index cannot find them.
    rows = Client.objects.select_related("plan", "parent").alias(ordered=Collate("key", "C"))
    rows = rows.filter(ordered__gt=wanted.after, **_conditions(wanted))
    if (wanted.tag or wanted.parent) and rows[:MAX_SORTED_ROWS].count() < MAX_SORTED_ROWS:
        return rows.order_by(Collate(Concat("key", Value("")), "C"))
    return rows.order_by("ordered")


def _conditions(wanted: PageRequest) -> dict[str, Any]:
    conditions = {
        "plan__slug": wanted.plan,
        "status": wanted.status,
        "ordered__startswith": wanted.prefix,
        "parent__key": wanted.parent,
        "tags__contains": list(wanted.tag) or None,
    }
    return {lookup: value for lookup, value in conditions.items() if value is not None}


def find(key: str, *, locked: bool = False) -> Client:
    """The client with this key. ``locked``: the row is locked until the transaction ends. Raises
    :class:`ProblemResponse` if the client is not registered."""
    rows = Client.objects.select_related("plan", "parent").filter(key=key)
    row = (rows.select_for_update(of=("self",)) if locked else rows).first()
    if row is None:
        raise ProblemResponse(NOT_FOUND, f"There is no registered client “{key}”.")
    return row


def put(key: str, fields: dict[str, Any]) -> tuple[Client, bool, Delivery]:
    """Registers the client, or replaces its fields; missing fields get their defaults. Returns (row,
    whether it is new, the delivery). Raises :class:`ProblemResponse` for a plan that does not exist."""
    with transaction.atomic():
        if fields.get("parent") is not None or Client.objects.filter(key=key, parent__isnull=False).exists():
            lock_trees()
        columns = _columns(key, DEFAULTS | fields)
        row, created = Client.objects.update_or_create(key=key, defaults=columns)
    return row, created, clients.deliver([key])


def patch(key: str, fields: dict[str, Any]) -> tuple[Client, Delivery]:
    """Changes only these fields of a registered client. Returns the row and the delivery. Raises
    :class:`ProblemResponse` if the client or the plan does not exist."""
    with transaction.atomic():
        if "parent" in fields:
            lock_trees()
        columns = _columns(key, fields)
        row = find(key, locked=True)
        for name, value in columns.items():
            setattr(row, name, value)
        row.save()
    return row, clients.deliver([key])


def delete(key: str) -> Delivery:
    """Removes the client, which is on the default plan from then on. Raises :class:`ProblemResponse`."""
    with transaction.atomic():
        row = find(key, locked=True)
        try:
            row.delete()
        except RestrictedError as error:
            children = quantity(row.children.count(), "client")
            raise ProblemResponse(HAS_CHILDREN, f"“{key}” is the parent of {children}.") from error
    return clients.deliver([key])


def _columns(key: str, fields: dict[str, Any]) -> dict[str, Any]:
    columns = dict(fields)
    if "tags" in fields:
        columns["tags"] = sorted(fields["tags"])
    if fields.get("plan") is not None:
        columns["plan"] = _plan(fields["plan"])
    if fields.get("parent") is not None:
        columns["parent"] = _parent(key, fields["parent"])
    return columns


def _plan(slug: str) -> Plan:
    plan = Plan.objects.filter(slug=slug).first()
    if plan is None:
        raise invalid({"plan": [f"There is no plan “{slug}”."]})
    return plan


def _parent(key: str, parent: str) -> Client:
    for _, message in tree_problems({key: parent}, Client.objects.all()):
        raise invalid({"parent": [capitalized(message)]})
    return Client.objects.get(key=parent)
