"""Usage, as written by the drain. Read-only."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.formats import date_format
from unfold.decorators import display

from limits.admin.base import BigTablePaginator, HasIntroduction, PlatformModelAdmin
from limits.admin.forms import ReadOnlyAdmin
from limits.admin.usage_report import file_view, report_view
from limits.models import (
    PolicyDenial,
    QuotaThreshold,
    Settlement,
    SettlementDay,
    SettlementHour,
    Usage,
    UsageDay,
    UsageHour,
)
from limits.models.usage import Counts, OutcomeCounts

_OUTCOME_COLOURS = {"admitted": "success", "denied": "danger", "blocked": "warning", "exempt": "info"}


class CountsAdmin(HasIntroduction, ReadOnlyAdmin, PlatformModelAdmin):
    """Shared by all lists of usage; there may be millions of rows."""

    list_display_links = None
    search_fields = ("=client_key",)
    search_help_text = "Search by the complete client key"
    show_full_result_count = False
    paginator = BigTablePaginator
    when_empty = "They appear within ten seconds of the first request."
    time = "minute"
    """The column with the time."""

    sortable_by: Sequence[str] = (time,)

    def get_ordering(self, request: HttpRequest) -> Sequence[str]:
        """Orders one client's rows like their index; otherwise PostgreSQL may search by time."""
        return ("client_key", f"-{self.time}") if request.GET.get("q") else super().get_ordering(request)

    @display(description="Client")
    def client_text(self, row: Counts) -> str:
        return row.client_name

    @display(description="Endpoint")
    def endpoint_text(self, row: Counts) -> str:
        return row.endpoint_name

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Matches the key exactly, including spaces and case. Django's own “=” compares in upper case, for
        which there is no index: it read all rows."""
        return (queryset.filter(client_key=search_term) if search_term else queryset), False


class OutcomeAdmin(CountsAdmin):
    """Usage by outcome."""

    list_filter = ("outcome",)
    settlements: type[Settlement | SettlementHour | SettlementDay]
    """Reservations and settlements in the same resolution."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Adds links to the report, and to the list of settlements, if there are any that the user may view."""
        name, rows = self.settlements._meta.model_name, self.settlements._default_manager
        link = ("Reserved, settled and overdrawn cost", f"admin:limits_{name}_changelist")
        links = [("Usage report", "admin:limits_usage_report")]
        links += [link] if request.user.has_perm(f"limits.view_{name}") and rows.exists() else []
        return super().changelist_view(request, {"introduction_links": links} | (extra_context or {}))

    @display(description="Outcome", label=_OUTCOME_COLOURS)
    def outcome_label(self, row: OutcomeCounts) -> str:
        return row.outcome


@admin.register(Usage)
class UsageAdmin(OutcomeAdmin):
    introduction = "Decided requests by minute, client, endpoint and outcome."
    settlements = Settlement
    list_display = ("minute", "client_text", "endpoint_text", "outcome_label", "requests", "cost")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("report/", view(self._report), name="limits_usage_report"),
            path("report/file/", view(file_view), name="limits_usage_report_file"),
            *super().get_urls(),
        ]

    def _report(self, request: HttpRequest) -> HttpResponse:
        return report_view(request, self.admin_site)


@admin.register(UsageHour)
class UsageHourAdmin(OutcomeAdmin):
    introduction = "Usage by hour, which is stored for longer than usage by minute."
    settlements = SettlementHour
    list_display = ("hour", "client_text", "endpoint_text", "outcome_label", "requests", "cost")
    time = "hour"
    sortable_by = (time,)


@admin.register(UsageDay)
class UsageDayAdmin(OutcomeAdmin):
    introduction = "Usage by day. Unregistered clients are counted together."
    settlements = SettlementDay
    list_display = ("date", "client_text", "endpoint_text", "outcome_label", "requests", "cost")
    time = "day"
    sortable_by = ("date",)

    @display(description="Day (UTC)", ordering="day")
    def date(self, row: UsageDay) -> str:
        return date_format(row.day, "DATE_FORMAT")


@admin.register(PolicyDenial)
class PolicyDenialAdmin(CountsAdmin):
    introduction = (
        "Requests denied by each policy, by minute. For a policy in shadow mode: requests that would have been denied."
    )
    list_display = ("minute", "client_text", "endpoint_text", "policy", "mode", "requests")
    list_filter = ("mode",)


@admin.register(QuotaThreshold)
class QuotaThresholdAdmin(CountsAdmin):
    introduction = "How often a client's requests reached 50, 80, 90 or 100 % of a quota, by minute."
    list_display = ("minute", "client_text", "policy", "reached", "endpoint_text", "times")
    list_filter = ("mark",)

    @display(description="Reached", ordering="mark")
    def reached(self, row: QuotaThreshold) -> str:
        return f"{row.mark} %"

    @display(description="Times")
    def times(self, row: QuotaThreshold) -> int:
        return row.requests
