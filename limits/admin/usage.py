"""Usage, as the drain wrote it."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from limits.admin.base import PlatformModelAdmin
from limits.admin.fields import NobodyEdits
from limits.admin.help import Introduced
from limits.admin.paginator import BigTablePaginator
from limits.models import PolicyDenial, QuotaCrossing, Usage, UsageDay, UsageHour
from limits.models.usage import Counts, OutcomeCounts

_OUTCOME_COLOURS = {"admitted": "success", "denied": "danger", "blocked": "warning", "exempt": "info"}


class CountsAdmin(Introduced, NobodyEdits, PlatformModelAdmin):
    """What lists of usage have in common; there may be millions of rows."""

    list_display_links = None
    search_fields = ("=client_key",)
    search_help_text = "The client's whole key"
    show_full_result_count = False
    paginator = BigTablePaginator
    time = "minute"
    """The column that says when."""

    sortable_by = (time,)

    def get_ordering(self, request: HttpRequest) -> Sequence[str]:
        """One client's rows in the order of their index: else PostgreSQL may look for them by time."""
        return ("client_key", f"-{self.time}") if request.GET.get("q") else super().get_ordering(request)

    @display(description="Client")
    def client_in_words(self, row: Counts) -> str:
        return row.client_name

    @display(description="Endpoint")
    def endpoint_in_words(self, row: Counts) -> str:
        return row.endpoint_name

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """The key as it is, spaces and case included. Django's own “=” compares in upper case, for which
        there is no index: it read all rows."""
        return (queryset.filter(client_key=search_term) if search_term else queryset), False


class OutcomeAdmin(CountsAdmin):
    """By how requests came out."""

    list_filter = ("outcome",)

    @display(description="Outcome", label=_OUTCOME_COLOURS)
    def outcome_label(self, row: OutcomeCounts) -> str:
        return row.outcome


@admin.register(Usage)
class UsageAdmin(OutcomeAdmin):
    introduction = "Every request that was decided, counted by minute, client, endpoint and outcome."
    list_display = ("minute", "client_in_words", "endpoint_in_words", "outcome_label", "requests", "cost")


@admin.register(UsageHour)
class UsageHourAdmin(OutcomeAdmin):
    introduction = "The same, added up by hour. Hours are kept longer than minutes."
    list_display = ("hour", "client_in_words", "endpoint_in_words", "outcome_label", "requests", "cost")
    time = "hour"
    sortable_by = (time,)


@admin.register(UsageDay)
class UsageDayAdmin(OutcomeAdmin):
    introduction = "The same, added up by day. Clients that are not registered are added up together."
    list_display = ("date", "client_in_words", "endpoint_in_words", "outcome_label", "requests", "cost")
    time = "day"
    sortable_by = ("date",)

    @display(description="Day (UTC)", ordering="day")
    def date(self, row: UsageDay) -> str:
        return f"{row.day:%F}"


@admin.register(PolicyDenial)
class PolicyDenialAdmin(CountsAdmin):
    introduction = (
        "Which policy denied how many requests, by minute. A policy in shadow mode denies nothing: its rows say what "
        "it would have denied."
    )
    list_display = ("minute", "client_in_words", "endpoint_in_words", "policy", "mode", "requests")
    list_filter = ("mode",)


@admin.register(QuotaCrossing)
class QuotaCrossingAdmin(CountsAdmin):
    introduction = "How often a client's requests took a limit over 50, 80, 90 or 100 % of its quota, by minute."
    list_display = ("minute", "client_in_words", "policy", "reached", "endpoint_in_words", "times")
    list_filter = ("mark",)

    @display(description="Reached", ordering="mark")
    def reached(self, row: QuotaCrossing) -> str:
        return f"{row.mark} %"

    @display(description="Times")
    def times(self, row: QuotaCrossing) -> int:
        return row.requests
