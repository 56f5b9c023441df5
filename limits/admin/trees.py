"""Trees of clients in the list of clients: the filter, the links, and why a client cannot be deleted."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from limits.admin.bulk import NAMED_ROWS
from limits.models import Client

PARENT = "parent__id__exact"
"""The parameter that filters the list of clients by their parent. The filters of the page do not list all parents."""


class TreeFilter(admin.SimpleListFilter):
    """Filters by the place in a tree: below a parent, with children, or neither."""

    title = "parents and children"
    parameter_name = "tree"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("below", "Has a parent"), ("parents", "Has children"), ("single", "Neither")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Client]) -> QuerySet[Client]:
        parents = Client.objects.filter(parent__isnull=False).order_by().values("parent")
        match self.value():
            case "below":
                return queryset.filter(parent__isnull=False)
            case "parents":
                return queryset.filter(pk__in=parents)
            case "single":
                return queryset.filter(parent=None).exclude(pk__in=parents)
        return queryset


def children_url(client: Client) -> str:
    """Returns the URL of the list of a client's children."""
    return f"{reverse('admin:limits_client_changelist')}?{PARENT}={client.pk}"


def parent_links(request: HttpRequest) -> list[tuple[str, str]]:
    """Returns (text, URL) of the page of the client by whose children the list is filtered."""
    pk = request.GET.get(PARENT, "")
    parent = Client.objects.filter(pk=pk).first() if pk.isdecimal() and len(pk) < 19 else None
    if parent is None:
        return []
    return [(f"Children of {parent}", reverse("admin:limits_client_change", args=[parent.pk]))]


def children_in_the_way(clients: QuerySet[Client]) -> str:
    """Returns a sentence about children of these clients that are not among them; empty if there are none."""
    rows = clients.order_by().values("pk")
    left = Client.objects.filter(parent__in=rows).exclude(pk__in=rows).order_by()
    counts = dict(left.values_list("parent").annotate(Count("pk")))
    if not counts:
        return ""
    parents = list(Client.objects.filter(pk__in=counts)[: NAMED_ROWS + 1])
    if len(parents) == 1 and not clients.exclude(pk=parents[0].pk).exists():
        number = counts[parents[0].pk]
        return f"Remove or move its {f'{number:,} children' if number > 1 else 'child'} first."
    names = ", ".join(f"{each} ({_children(counts[each.pk])})" for each in parents[:NAMED_ROWS])
    more = f" and {len(counts) - NAMED_ROWS:,} more" if len(counts) > NAMED_ROWS else ""
    return f"Remove or move the children of these clients first: {names}{more}."


def _children(number: int) -> str:
    return f"{number:,} children" if number > 1 else "1 child"
