"""The trial of a change set: requests and denials of the clients in the share, beside those of all others."""

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from limits.admin.change_set_forms import seen_of
from limits.admin.change_set_steps import offered
from limits.admin.charts import Bars, chart
from limits.admin.permissions import require_permission
from limits.changes.overview import timing
from limits.changes.trials import comparison, hours_of
from limits.domain.alert_rules import format_percent
from limits.models import ChangeSet
from limits.monitoring.trials import Comparison, GroupOfClients

CHART_PERIOD = timedelta(hours=24)


class Line(NamedTuple):
    """One figure of both groups, in words."""

    title: str
    shared: str
    others: str


def groups_view(request: HttpRequest, admin_site: AdminSite, object_id: int) -> HttpResponse:
    """Compares both groups since the present share is in force, at most for seven days."""
    require_permission(request, "limits.view_changeset")
    require_permission(request, "limits.view_usage")
    change = get_object_or_404(ChangeSet, pk=object_id)
    back = reverse("admin:limits_changeset_change", args=[change.pk])
    if change.state != ChangeSet.State.TRIAL:
        messages.error(request, "The change set is not being tried on a share of the clients.")
        return HttpResponseRedirect(back)
    found = comparison(change)
    context = {
        **admin_site.each_context(request),
        "title": f"Groups of “{change}”",
        "opts": ChangeSet._meta,
        "change_set": change,
        "share": timing(change),
        "found": found,
        "lines": list(_lines(found)) if found else [],
        "charts": list(_charts(change)) if found else [],
        "steps": offered(request, change),
        "seen": seen_of(change),
        "back": back,
    }
    return TemplateResponse(request, "admin/limits/changeset/groups.html", context)


def _charts(change: ChangeSet) -> Iterator[tuple[str, SafeString]]:
    for title, hours in zip(("Clients in the share", "All other clients"), hours_of(change, CHART_PERIOD), strict=True):
        bars = [Bars(hour, requests - denied, denied) for hour, requests, denied in hours]
        yield title, chart(bars, "%H:%M", "%A %H:%M")


def _lines(found: Comparison) -> Iterator[Line]:
    def line(title: str, attribute: str) -> Line:
        return Line(title, *(f"{getattr(group, attribute):,}" for group in (found.shared, found.others)))

    yield line("Requests", "requests")
    yield line("Denied requests", "denied")
    yield Line("Denial rate", _rate(found.shared), _rate(found.others))
    yield line("Clients with requests", "clients")
    yield line("Clients with denied requests", "clients_denied")


def _rate(group: GroupOfClients) -> str:
    return format_percent(group.denial_rate) if group.requests else "no requests"
