"""What a change set would have done: bounds of denied requests over recorded usage, before and after the change."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.widgets import UnfoldAdminSplitDateTimeWidget

from limits.admin.csv_files import csv_response
from limits.admin.forms import DateAndOptionalTime, label_inputs
from limits.admin.permissions import require_permission
from limits.domain.client_csv import lines_of
from limits.domain.descriptions import quantity
from limits.models import ChangeSet, Simulation
from limits.simulation.results import Total, exported_rows, newly_denied_clients, result_of
from limits.simulation.running import start
from ratelimit_enforcer.conf import setting

VIEW, START = ("limits.view_changeset", "limits.view_usage"), ("limits.change_changeset", "limits.approve_change")
"""The permissions for the results, all of them; and for starting a simulation, any of them."""

DEFAULT_DAYS = 1
MAX_BARS = 10
"""Plans, policies or endpoints in a chart, each with two bars; the table below has all."""

MAX_LISTED = 50
"""Clients on the page; the file has all that are stored."""


class SimulationForm(forms.Form):
    """The recorded usage to simulate."""

    begin = DateAndOptionalTime(label="From", widget=UnfoldAdminSplitDateTimeWidget)
    end = DateAndOptionalTime(label="Until", widget=UnfoldAdminSplitDateTimeWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        until = timezone.now().replace(second=0, microsecond=0)
        self.initial.update({"begin": until - timedelta(days=DEFAULT_DAYS), "end": until})
        for field in self.fields.values():
            label_inputs(field)

    def clean_begin(self) -> datetime:
        begin: datetime = self.cleaned_data["begin"]
        if begin < timezone.now() - timedelta(days=setting("KEEP_MINUTES")):
            raise ValidationError(f"Usage is kept by minute for {quantity(setting('KEEP_MINUTES'), 'day')}.")
        return begin

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        begin, end = cleaned.get("begin"), cleaned.get("end")
        if begin and end and end - begin < timedelta(minutes=1):
            self.add_error("end", "Must be at least one minute after the beginning.")
        return cleaned


@dataclass(frozen=True, slots=True)
class Bar:
    """The denied requests of a plan, policy or endpoint, before or after the change, as parts of the most of all, in
    percent: ``least`` is certain, ``most`` possible."""

    label: str
    least: float
    most: float
    text: str


@dataclass(frozen=True, slots=True)
class Group:
    """A table of the result, with the bars of its rows."""

    title: str
    rows: list[tuple[Total, str, str]]
    bars: list[Bar]


def simulations_view(request: HttpRequest, admin_site: AdminSite, object_id: int) -> HttpResponse:
    """The page. GET shows the newest simulation, or that with the id ``?run=``; POST starts one."""
    _require_view(request)
    change = get_object_or_404(ChangeSet, pk=object_id)
    form = SimulationForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        return _start(request, change, form)
    chosen = _chosen(request, change)
    context = {
        **admin_site.each_context(request),
        "title": f"Simulation of “{change}”",
        "opts": ChangeSet._meta,
        "change_set": change,
        "form": form,
        "may_start": _may_start(request) and bool(change.edits),
        "back": reverse("admin:limits_changeset_change", args=[change.pk]),
        "run": chosen,
        **(_shown(chosen) if chosen else {}),
    }
    return TemplateResponse(request, "admin/limits/changeset/simulation.html", context)


def simulation_progress_view(request: HttpRequest, object_id: int, run: int) -> HttpResponse:
    """The part of the page that is replaced until the simulation ends."""
    _require_view(request)
    found = _run_of(object_id, run)
    response = TemplateResponse(request, "admin/limits/changeset/simulation_progress.html", {"run": found})
    if not found.is_under_way:
        response["HX-Refresh"] = "true"
    return response


def simulation_file_view(request: HttpRequest, object_id: int, run: int) -> HttpResponse:
    """All stored rows as CSV; ``?new=1``: those of clients that are hit and were not before."""
    _require_view(request)
    found = _run_of(object_id, run)
    rows = exported_rows(found, only_newly_denied=request.GET.get("new") == "1")
    return csv_response(lines_of(next(rows), rows), f"simulation-{found.pk}")


def _require_view(request: HttpRequest) -> None:
    for permission in VIEW:
        require_permission(request, permission)


def _may_start(request: HttpRequest) -> bool:
    return any(map(request.user.has_perm, START))


def _start(request: HttpRequest, change: ChangeSet, form: SimulationForm) -> HttpResponse:
    if not _may_start(request):
        require_permission(request, START[0])
    if not change.edits:
        messages.error(request, "The change set contains no edits, so there is nothing to simulate.")
        return HttpResponseRedirect(request.path)
    values = form.cleaned_data
    run = start(change, values["begin"], values["end"], request.user.get_username())
    return HttpResponseRedirect(f"{request.path}?run={run.pk}")


def _run_of(object_id: int, pk: int) -> Simulation:
    return get_object_or_404(Simulation.objects.select_related("change_set"), change_set=object_id, pk=pk)


def _chosen(request: HttpRequest, change: ChangeSet) -> Simulation | None:
    given = request.GET.get("run", "")
    if not given:
        return change.simulations.select_related("change_set").first()
    if not (given.isascii() and given.isdigit() and len(given) < len(str(2**63))):
        raise Http404
    return _run_of(change.pk, int(given))


def _shown(run: Simulation) -> dict[str, Any]:
    result = result_of(run)
    if result is None:
        return {}
    newly_denied = newly_denied_clients(run)
    groups = [_group("By plan", result.plans), _group("By policy", result.policies)]
    return {
        "everything": result.everything,
        "denied_before": range_text(result.everything.before),
        "denied_after": range_text(result.everything.after),
        "clients_before": range_text(result.everything.clients_before),
        "clients_after": range_text(result.everything.clients_after),
        "groups": [*groups, _group("By endpoint", result.endpoints)],
        "newly_denied": [
            (row, range_text((row.before_least, row.before_most)), range_text((row.after_least, row.after_most)))
            for row in newly_denied[:MAX_LISTED]
        ],
        "newly_denied_count": newly_denied.count(),
        "max_listed": MAX_LISTED,
    }


def range_text(bounds: tuple[int, int]) -> str:
    """“7”, or “3 to 7”."""
    least, most = bounds
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _group(title: str, totals: tuple[Total, ...]) -> Group:
    rows = [(total, range_text(total.before), range_text(total.after)) for total in totals]
    highest = max((most for total in totals for _, most in (total.before, total.after)), default=0)
    return Group(title, rows, list(_bars(totals[:MAX_BARS], highest)) if highest else [])


def _bars(totals: tuple[Total, ...], highest: int) -> Iterator[Bar]:
    for total in totals:
        for when, (least, most) in (("before", total.before), ("after", total.after)):
            label = f"{total.name or '(none)'}, {when}"
            yield Bar(label, 100 * least / highest, 100 * most / highest, range_text((least, most)))
