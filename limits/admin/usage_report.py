"""The page “Usage report”: what was counted in some days, as a table, a chart and a file."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from limits.admin.charts import OUTCOMES, Bars, Words, chart
from limits.admin.csv_files import streamed_csv_response
from limits.admin.permissions import require_permission
from limits.admin.shadow_report import DayInput
from limits.domain.descriptions import quantity
from limits.models import Client, Usage
from limits.monitoring import figures
from limits.monitoring.shadow import ONE_DAY
from limits.reports.asking import DEFAULT_ZONE, InvalidReport, report_of
from limits.reports.calendar import hours_kept_from, label, starts
from limits.reports.files import about_text, csv_parts
from limits.reports.reading import rows
from limits.reports.subjects import FILTERS, TIMES, By, Report, Row
from ratelimit_enforcer.conf import setting

VIEW = "limits.view_usage"
ROWS = 500
"""Rows on the page, at most; the file has all of them."""

MAX_DAYS_OF_HOURS, MAX_DAYS_OF_DAYS = 2, 62
"""The longest periods whose chart has a bar for each hour, and for each day."""

_DENIED = Words(
    (("rl-denied", "denied"),),
    lambda bar: f"{bar.denied:,} denied",
    lambda total: f"{quantity(total.denied, 'request')} denied.",
)
_TITLES = {By.HOUR: ("%H:%M", "%-d %b, %H:%M"), By.DAY: ("%-d %b", "%A %-d %B"), By.MONTH: ("%b", "%B %Y")}
_PARAMETERS = {"from": "since", "to": "until", "by": "rows"}
"""Parameters of a report → fields of the form, where the names differ."""


class UsageReportForm(forms.Form):
    """The days, rows and filters of a report. The last day is part of it."""

    since = forms.DateField(label="From", widget=DayInput(format="%Y-%m-%d"))
    until = forms.DateField(label="To", widget=DayInput(format="%Y-%m-%d"))
    timezone = forms.CharField(label="Time zone", max_length=64)
    rows = forms.ChoiceField(label="Rows by", required=False, choices=[("", "—"), *((by, by) for by in FILTERS)])
    time = forms.ChoiceField(label="And by", required=False, choices=[("", "—"), *((by, by) for by in TIMES)])
    client = forms.CharField(required=False, strip=False)
    tree = forms.CharField(label="Tree of the client", required=False, strip=False)
    plan = forms.CharField(required=False)
    tag = forms.CharField(required=False)
    endpoint = forms.CharField(required=False)
    policy = forms.CharField(required=False)

    def __init__(self, given: Mapping[str, str], today: date) -> None:
        usual = {"since": today.replace(day=1).isoformat(), "until": today.isoformat()}
        super().__init__(usual | {"timezone": DEFAULT_ZONE, "rows": By.CLIENT.value} | dict(given))
        self.report: Report | None = None
        for field in self.fields.values():
            field.widget.attrs["class"] = "rl-input"

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                self.report = report_of(_asked(cleaned), timezone.now())
            except InvalidReport as error:
                for name, message in error.problems:
                    self.add_error(_PARAMETERS.get(name, name), f"This {message}")
        return cleaned

    @property
    def query(self) -> str:
        """The query of a URL with the same report."""
        return urlencode({name: self.data.get(name, "") for name in self.fields})

    @property
    def main_fields(self) -> list[Any]:
        """The fields above the filters."""
        return [self[name] for name in self.fields if name not in list(FILTERS)]

    @property
    def filter_fields(self) -> list[Any]:
        return [self[name] for name in FILTERS]

    @property
    def is_filtered(self) -> bool:
        """Whether a filter is set."""
        return any(self.data.get(name) for name in FILTERS)


def _asked(cleaned: Mapping[str, Any]) -> dict[str, list[str]]:
    """Returns the parameters of the report."""
    asked = {"from": cleaned["since"].isoformat(), "to": (cleaned["until"] + ONE_DAY).isoformat()}
    asked["timezone"] = cleaned["timezone"]
    by = [cleaned[name] for name in ("time", "rows") if cleaned[name]]
    filters = {name.value: cleaned[name] for name in FILTERS if cleaned[name]}
    return {name: [value] for name, value in (asked | filters).items()} | {"by": by}


def _form(request: HttpRequest) -> UsageReportForm:
    given = {name: request.GET[name] for name in UsageReportForm.base_fields if name in request.GET}
    return UsageReportForm(given, timezone.now().astimezone(UTC).date())


def report_view(request: HttpRequest, admin_site: AdminSite) -> HttpResponse:
    """The page; its query is that of the form."""
    require_permission(request, VIEW)
    form = _form(request)
    context = {**admin_site.each_context(request), "title": "Usage report", "opts": Usage._meta, "form": form}
    if form.is_valid() and form.report is not None:
        context |= _found(form.report)
    return TemplateResponse(request, "admin/limits/usage/report.html", context)


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table: texts and numbers. ``pk``: the client that the row is about, if it is registered now."""

    texts: tuple[str, ...]
    numbers: tuple[int, ...]
    is_adjustment: bool
    pk: int | None


def _found(report: Report) -> dict[str, Any]:
    """Returns the context of the report itself."""
    counted_until = figures.counted_until()
    with closing(rows(report, largest=ROWS + 1)) as reading:
        found = list(reading)
    if not found:
        return {"counted_until": counted_until, "missing": _missing(counted_until)}
    return {
        "counted_until": counted_until,
        "chart": _chart(report),
        "columns": [by.value.capitalize() for by in report.by],
        "figures": [figure.name.replace("_", " ").capitalize() for figure in report.figures],
        "meanings": [(figure.name.replace("_", " "), figure.meaning) for figure in report.figures],
        "lines": _lines(report, found[:ROWS]),
        "max_rows": ROWS if len(found) > ROWS else None,
        "has_adjustments": any(row.is_adjustment for row in found),
        "by_tag": By.TAG in report.by,
    }


def _missing(counted_until: datetime | None) -> str:
    if counted_until is None:
        return "No usage has been read from Redis yet. Check that Celery worker and beat are running."
    return "Choose other days, or fewer filters."


def _lines(report: Report, found: list[Row]) -> list[Line]:
    at = report.by.index(By.CLIENT) if By.CLIENT in report.by else None
    keys = [row.about[at] for row in found] if at is not None else []
    pks = dict(Client.objects.filter(key__in=[key for key in keys if key]).values_list("key", "pk"))
    return [
        Line(
            tuple(about_text(by, value) for by, value in zip(report.by, row.about, strict=True)),
            row.figures,
            row.is_adjustment,
            pks.get(row.about[at] or "") if at is not None else None,
        )
        for row in found
    ]


def _chart(report: Report) -> Any:
    """Returns the chart of the whole period, without adjustments."""
    by = _bars_by(report)
    whole = replace(report, by=(by,))
    names = [figure.name for figure in whole.figures]
    with closing(rows(whole)) as reading:
        sums = {row.about[0]: dict(zip(names, row.figures, strict=True)) for row in reading if not row.is_adjustment}
    begins = starts(by, report.begin, report.end, report.zone)
    bars = [_bar(begin.astimezone(report.zone), sums.get(label(by, begin, report.zone), {})) for begin in begins]
    return chart(bars, *_TITLES[by], _DENIED if report.is_of_policies else OUTCOMES)


def _bars_by(report: Report) -> By:
    length = report.end - report.begin
    if length > MAX_DAYS_OF_DAYS * ONE_DAY:
        return By.MONTH
    has_hours = report.begin >= hours_kept_from(timezone.now(), setting("KEEP_HOURS"))
    return By.HOUR if length <= MAX_DAYS_OF_HOURS * ONE_DAY and has_hours else By.DAY


def _bar(begin: datetime, found: Mapping[str, int]) -> Bars:
    admitted = found.get("admitted", 0) + found.get("exempt", 0)
    return Bars(begin, admitted, found.get("denied", 0), found.get("blocked", 0))


def file_view(request: HttpRequest) -> HttpResponse:
    """Returns all rows as CSV; an invalid query leads to the page, which shows the errors."""
    require_permission(request, VIEW)
    form = _form(request)
    if not form.is_valid() or form.report is None:
        return HttpResponseRedirect(f"{reverse('admin:limits_usage_report')}?{request.GET.urlencode()}")
    days = f"{form.cleaned_data['since']}-{form.cleaned_data['until']}"
    return streamed_csv_response(csv_parts(form.report, rows(form.report)), f"usage-{days}")
