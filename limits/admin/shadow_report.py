"""The report of a policy in shadow mode: which requests of which clients it would have denied, and “Enforce now…”."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import takewhile
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from limits.admin.charts import WOULD_BE_DENIED, Bars, chart
from limits.admin.csv_files import streamed_csv_response
from limits.admin.forms import place_of
from limits.admin.permissions import require_permission
from limits.admin.publishing import publish_rules, reviewed
from limits.domain.client_csv import lines_of
from limits.domain.descriptions import dates_sentence, quantity
from limits.models import Client, Platform, Policy
from limits.monitoring import figures, shadow
from limits.monitoring.shadow import ONE_DAY, Between, Report, WouldDeny
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.dates import date_and_time
from ratelimit_enforcer.domain.enums import Mode
from ratelimit_enforcer.domain.validation import InvalidRuleset

DAYS, MAX_DAYS = 7, 366
"""The days of a report by default, and at most."""

ROWS, MAX_LISTED = 50, 10_000
"""Clients on a page, and on all pages; the file has all of them."""

MAX_RECORDS = 200
"""History records that are read to find out since when a policy is in shadow mode."""

COLUMNS = (
    "client",
    "would_have_been_denied",
    "requests",
    "first_not_before",
    "first_before",
    "last_not_before",
    "last_before",
)

VIEW, ENFORCE = "limits.view_policydenial", "limits.change_policy"
"""The permissions for the report, in addition to that for the policy, and for changing the mode."""

_NOTES = (
    "Requests over the limits are denied from then on; the counters already contain the usage of the present windows.",
    "To go back, set the mode of the policy to shadow.",
)


class DayInput(forms.DateInput):
    """The date field of the browser."""

    input_type = "date"


class ReportForm(forms.Form):
    """The days of a report, and the beginning of the keys of its clients."""

    since = forms.DateField(label="From (UTC)", widget=DayInput(format="%Y-%m-%d"))
    until = forms.DateField(label="To (UTC)", widget=DayInput(format="%Y-%m-%d"))
    q = forms.CharField(label="Clients", required=False, max_length=256, strip=False)

    def __init__(self, given: dict[str, str], today: date) -> None:
        first = today - (DAYS - 1) * ONE_DAY
        super().__init__({"since": first.isoformat(), "until": today.isoformat()} | given)
        self._today = today
        for name in ("since", "until"):
            self.fields[name].widget.attrs |= {"class": "rl-input", "max": today.isoformat()}
        self.fields["q"].widget.attrs |= {"class": "rl-input", "placeholder": "Beginning of the key"}

    def clean_until(self) -> date:
        until: date = self.cleaned_data["until"]
        if until > self._today:
            raise forms.ValidationError(f"Enter a day up to today, {self._today:%-d %b %Y} (UTC).")
        return until

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and since > until:
            self.add_error("until", "The last day must not be before the first day.")
        elif since and until and until - since >= MAX_DAYS * ONE_DAY:
            self.add_error("since", f"Choose at most {MAX_DAYS} days.")
        return cleaned

    def report(self, policy: Policy) -> Report:
        """Returns the subject of the report; the form has to be valid."""
        begin, last = (_midnight(self.cleaned_data[name]) for name in ("since", "until"))
        return Report(policy.slug, policy.endpoint.slug if policy.endpoint else "", begin, last + ONE_DAY)

    @property
    def query(self) -> str:
        """The query of a URL with the same report."""
        return urlencode({name: self.data.get(name, "") for name in self.fields})


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _form(request: HttpRequest) -> ReportForm:
    given = {name: request.GET[name] for name in ReportForm.base_fields if name in request.GET}
    return ReportForm(given, timezone.now().astimezone(UTC).date())


def report_view(request: HttpRequest, admin_site: AdminSite, policy: Policy) -> HttpResponse:
    """The page. ``?since=`` and ``?until=``: the first and the last day; ``?q=``: the beginning of keys; ``?p=``: the
    page of clients."""
    form = _form(request)
    context = {
        **admin_site.each_context(request),
        "title": f"Shadow report of “{policy}”",
        "opts": Policy._meta,
        "policy": policy,
        "form": form,
        "state": _state(policy),
        "may_enforce": policy.mode == Mode.SHADOW and request.user.has_perm(ENFORCE),
    }
    if form.is_valid():
        context |= _found(form, policy, request.GET.get("p", ""))
    return TemplateResponse(request, "admin/limits/policy/shadow_report.html", context)


def _found(form: ReportForm, policy: Policy, page: str) -> dict[str, Any]:
    """Returns the context of the report itself."""
    report, beginning, counted_until = form.report(policy), form.cleaned_data["q"], figures.counted_until()
    days = shadow.by_day(report)
    total = sum(day.requests for day in days)
    found: dict[str, Any] = {"days": days, "total": total, "counted_until": counted_until, "query": form.query}
    if not total:
        return found | {"missing": _missing(policy, report, counted_until)}
    clients, rows = _clients(report, beginning, page)
    bars = [Bars(day.begin, 0, day.requests) for day in days]
    return found | {
        "chart": chart(bars, "%-d %b", "%A %-d %B", WOULD_BE_DENIED),
        "busy_days": [day for day in reversed(days) if day.requests],
        "clients": clients,
        "page": rows,
        "max_listed": MAX_LISTED,
        "beginning": beginning,
        "precision": _precision(report),
    }


@dataclass(frozen=True, slots=True)
class Row:
    """A client of the table; ``pk`` is None if it is not registered."""

    found: WouldDeny
    first: str
    last: str
    pk: int | None


@dataclass(frozen=True, slots=True)
class Listed:
    """The clients on a page, and the number of all."""

    rows: tuple[Row, ...]
    total: int


def _clients(report: Report, beginning: str, typed: str) -> tuple[Listed, Page]:
    """Returns the clients of a page, or of the first one if there is no such page."""
    number = min(int(typed), MAX_LISTED // ROWS) if re.fullmatch("[1-9][0-9]{0,5}", typed) else 1
    found = shadow.clients(report, beginning, ROWS, (number - 1) * ROWS)
    if not found.rows and number > 1:
        return _clients(report, beginning, "")
    pks = dict(Client.objects.filter(key__in=[each.client for each in found.rows]).values_list("key", "pk"))
    rows = tuple(Row(each, in_words(each.first), in_words(each.last), pks.get(each.client)) for each in found.rows)
    pages = Paginator(range(min(found.total, MAX_LISTED)), ROWS)
    return Listed(rows, found.total), pages.page(number)


def in_words(moment: Between) -> str:
    """“28 Nov 2026, 14:31” within a minute, “28 Nov 2026, 14:00 to 15:00”, “28 Nov 2026” within a day; UTC."""
    length, begin = moment.end - moment.begin, f"{moment.begin:%-d %b %Y, %H:%M}"
    if length >= ONE_DAY:
        return f"{moment.begin:%-d %b %Y}"
    return begin if length <= timedelta(minutes=1) else f"{begin} to {moment.end:%H:%M}"


def _precision(report: Report) -> str:
    minutes, hours = setting("KEEP_MINUTES"), setting("KEEP_HOURS")
    sentence = (
        f"Times are UTC, and as precise as the counts that are kept: to the minute for {quantity(minutes, 'day')}, to "
        f"the hour for {quantity(hours, 'day')}, and to the day before that."
    )
    if report.begin < timezone.now() - timedelta(days=hours):
        sentence += " In the days before that, clients that are not registered are in “(other)”."
    return sentence


def _state(policy: Policy) -> str:
    """Returns whether the policy is in shadow mode, as sentences."""
    recorded = "The report shows what was recorded in shadow mode, also while the emergency switch was on."
    if policy.mode == Mode.ENFORCE:
        return f"This policy is not in shadow mode: it denies requests over its limits. {recorded}"
    if policy.mode == Mode.DISABLED:
        return f"This policy is not in shadow mode: it is disabled, and not evaluated. {recorded}"
    since = shadow_since(policy)
    beginning = f"In shadow mode since {date_and_time(since)}" if since else "In shadow mode"
    return f"{beginning}: requests over the limits are counted, and not denied."


def shadow_since(policy: Policy) -> datetime | None:
    """Returns since when the policy has been in shadow mode; None if the history does not tell."""
    records = policy.history.order_by("-history_id").values_list("mode", "history_date", "history_type")
    newest = list(records[:MAX_RECORDS])
    in_shadow = list(takewhile(lambda record: record[0] == Mode.SHADOW, newest))
    is_known = in_shadow and (len(in_shadow) < len(newest) or in_shadow[-1][2] == "+")
    return in_shadow[-1][1] if is_known else None


def _missing(policy: Policy, report: Report, counted_until: datetime | None) -> str:
    """Returns why there may be nothing to report, as sentences."""
    if counted_until is None:
        return "No usage has been read from Redis yet. Check that Celery worker and beat are running."
    if policy.mode != Mode.SHADOW:
        return "To see what the policy would deny without denying anything, set its mode to shadow."
    if not _applied(policy, report):
        return f"The policy did not apply in these days: it applies {dates_sentence(policy.starts_at, policy.ends_at)}."
    since = shadow_since(policy)
    if since and since >= report.end:
        return f"The policy has been in shadow mode since {date_and_time(since)} only: choose later days."
    requests = figures.requests_on_endpoint(report.endpoint)
    place = f"on the endpoint “{policy.endpoint}”" if policy.endpoint else "on any endpoint"
    if not requests:
        return f"There were no requests {place} in the last 24 hours. Check that your program asks for its decisions."
    return (
        f"There were {quantity(requests, 'request')} {place} in the last 24 hours. None that was admitted in these "
        "days exceeded the limits of this policy."
    )


def _applied(policy: Policy, report: Report) -> bool:
    starts_too_late = policy.starts_at is not None and policy.starts_at >= report.end
    return not starts_too_late and (policy.ends_at is None or policy.ends_at > report.begin)


def file_view(request: HttpRequest, policy: Policy) -> HttpResponse:
    """Returns all clients of the report as CSV; an invalid query leads to the page, which shows the errors."""
    form = _form(request)
    if not form.is_valid():
        return HttpResponseRedirect(f"{_url(policy)}?{request.GET.urlencode()}")
    found = shadow.every_client(form.report(policy), form.cleaned_data["q"])
    days = f"{form.cleaned_data['since']}-{form.cleaned_data['until']}"
    return streamed_csv_response(lines_of(COLUMNS, map(_cells, found)), f"shadow-{policy.slug}-{days}")


def _cells(found: WouldDeny) -> list[str]:
    times = (found.first.begin, found.first.end, found.last.begin, found.last.end)
    moments = (f"{moment.astimezone(UTC):%Y-%m-%dT%H:%MZ}" for moment in times)
    return [found.client_name, str(found.would_deny), str(found.requests), *moments]


def _url(policy: Policy) -> str:
    return reverse("admin:limits_policy_shadow_report", args=[policy.pk])


def enforce_view(request: HttpRequest, admin_site: AdminSite, policy: Policy) -> HttpResponse:
    """Shows what the mode “enforce” would change, and sets it after confirmation; in a draft, at once."""
    require_permission(request, ENFORCE)
    if request.method != "POST":
        return HttpResponseRedirect(_url(policy))
    switch = "While the emergency switch is on, this policy denies nothing."
    try:
        return reviewed(
            request,
            admin_site,
            lambda: _enforce(request, policy.pk),
            back=_url(policy),
            can_edit=False,
            intro=f"Sets the mode of the policy “{policy}” to enforce.",
            notes=(*_NOTES, *([switch] if Platform.load().shadow_all else [])),
            opts=Policy._meta,
        )
    except InvalidRuleset as rejection:
        for problem in rejection.problems:
            messages.error(request, f"Nothing was changed. {place_of(problem)}: {problem.message}")
        return HttpResponseRedirect(_url(policy))


def _enforce(request: HttpRequest, pk: int) -> HttpResponse:
    policy = Policy.objects.select_for_update().get(pk=pk)
    if policy.mode == Mode.SHADOW:
        policy.mode = Mode.ENFORCE
        policy.save()
        publish_rules(request, f"Enforced policy “{policy}”.")
    else:
        messages.info(request, f"Nothing was changed: the policy “{policy}” is not in shadow mode.")
    return HttpResponseRedirect(_url(policy))
