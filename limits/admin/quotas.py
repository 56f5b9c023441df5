"""Quotas in use: how much of each quota every registered client uses now, and used at most this month. Read-only."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from limits.admin.base import UnknownFilter
from limits.admin.csv_files import csv_response
from limits.admin.tags import TagFilter
from limits.admin.usage import CountsAdmin
from limits.domain.client_csv import lines_of
from limits.models import Client, Plan, QuotaReading

NEARLY_FULL = 80
"""The percentage of a quota from which on a bar has another colour."""

COLUMNS = (
    *("client", "name", "plan", "tags", "limit", "policy", "endpoint", "used", "quota", "percent", "read_at"),
    *("peak_percent", "peak_at"),
)

_NO_PLAN = "(none)"


class PlanFilter(admin.SimpleListFilter):
    """Filters by the plan of the client."""

    title = "plan"
    parameter_name = "plan"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*Plan.objects.values_list("slug", "name"), (_NO_PLAN, "No plan: the default, or the parent's")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[QuotaReading]) -> QuerySet[QuotaReading]:
        if self.value() is None:
            return queryset
        plan = None if self.value() == _NO_PLAN else self.value()
        clients = Client.objects.filter(plan__slug=plan) if plan else Client.objects.filter(plan=None)
        return queryset.filter(client_key__in=clients.order_by().values("key"))


class ClientTagFilter(TagFilter):
    """Filters by tags of the client."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        clients = super().queryset(request, Client.objects.order_by())
        return queryset.filter(client_key__in=clients.values("key")) if self.value() else queryset


class UsedFilter(admin.SimpleListFilter):
    """Filters by a column with a percentage: at least half, 80, 90 or 100 %."""

    title = "used now"
    parameter_name = "used"
    column = "percent"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(percent), f"At least {percent} %") for percent in (50, 80, 90, 100)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[QuotaReading]) -> QuerySet[QuotaReading]:
        chosen = {value for value, _ in self.lookup_choices} & {self.value()}
        return queryset.filter(**{f"{self.column}__gte": int(each) for each in chosen if each})


class PeakFilter(UsedFilter):
    """Filters by the peak of this month."""

    title = "used at most this month"
    parameter_name = "peak"
    column = "peak_percent"


@admin.register(QuotaReading)
class QuotaReadingAdmin(CountsAdmin):
    introduction = (
        "How much of each quota every registered client with requests uses, read about once a minute, and the highest "
        "reading of this month (UTC)."
    )
    list_display = ("client_link", "plan_text", "limit", "now", "peak", "read_at")
    list_filter = (PlanFilter, ClientTagFilter, UsedFilter, PeakFilter)
    sortable_by = ("now", "peak")

    def get_ordering(self, request: HttpRequest) -> list[str]:
        return ["-percent", "-peak_percent", "client_key", "limit"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export)
        return [path("export/", view, name="limits_quotareading_export"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[QuotaReading]:
        client = Client.objects.filter(key=OuterRef("client_key")).order_by()
        return QuotaReading.objects.annotate(
            client_pk=Subquery(client.values("pk")[:1]), plan=Subquery(client.values("plan__name")[:1])
        )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        url = f"{reverse('admin:limits_quotareading_export')}?{request.GET.urlencode()}"
        return super().changelist_view(request, {"introduction_urls": [("Export", url)]} | (extra_context or {}))

    def export(self, request: HttpRequest) -> HttpResponse:
        """Returns the list with the filters of the URL as CSV, without its pages."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            rows = self.get_changelist_instance(request).get_queryset(request)
        except UnknownFilter:
            # The list says so, and shows all rows.
            return HttpResponseRedirect(f"{reverse('admin:limits_quotareading_changelist')}?{request.GET.urlencode()}")
        return csv_response(lines_of(COLUMNS, _cells(rows)), f"quotas-{timezone.now():%Y-%m-%d}")

    @display(description="Client")
    def client_link(self, row: Any) -> str:
        if row.client_pk is None:
            return str(row.client_key)
        url = reverse("admin:limits_client_change", args=[row.client_pk])
        return format_html('<a class="rl-link" href="{}">{}</a>', url, row.client_key)

    @display(description="Plan", empty_value="—")
    def plan_text(self, row: Any) -> str | None:
        return row.plan

    @display(description="Used now", ordering="percent")
    def now(self, row: QuotaReading) -> SafeString:
        bar = {
            "used": row.used,
            "capacity": row.capacity,
            "is_full": row.percent >= 100,
            "is_nearly_full": NEARLY_FULL <= row.percent < 100,
        }
        return render_to_string("admin/limits/quota_bar.html", {"bar": bar, "percent": row.percent})

    @display(description="Peak this month", ordering="peak_percent")
    def peak(self, row: QuotaReading) -> str:
        return f"{row.peak_percent} % on {date_format(row.peak_at, 'DATETIME_FORMAT')}" if row.peak_percent else "0 %"


def _cells(rows: QuerySet[Any]) -> Iterator[list[str]]:
    """Yields the cells of each row, in the order of :data:`COLUMNS`. Times are in UTC."""
    client = Client.objects.filter(key=OuterRef("client_key")).order_by()
    found = rows.annotate(name=Subquery(client.values("name")[:1]), tags=Subquery(client.values("tags")[:1]))
    for row in found.iterator(chunk_size=2_000):
        yield [
            *(
                row.client_key,
                row.name or "",
                row.plan or "",
                " ".join(row.tags or ()),
                row.limit,
                row.policy,
                row.endpoint,
            ),
            *(str(row.used), str(row.capacity), str(row.percent), f"{row.read_at:%Y-%m-%dT%H:%MZ}"),
            *(str(row.peak_percent), f"{row.peak_at:%Y-%m-%dT%H:%MZ}"),
        ]
