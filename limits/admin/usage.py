"""Usage, as the drain wrote it."""

from django.contrib import admin
from unfold.admin import ModelAdmin
from unfold.decorators import display

from limits.admin.fields import NobodyEdits
from limits.admin.help import Introduced
from limits.admin.paginator import BigTablePaginator
from limits.models import PolicyDenial, Usage

_OUTCOME_COLOURS = {"admitted": "success", "denied": "danger", "blocked": "warning", "exempt": "info"}


class CountsAdmin(Introduced, NobodyEdits, ModelAdmin):
    """What lists of usage have in common; there may be millions of rows."""

    list_display_links = None
    search_fields = ("=client_key",)
    search_help_text = "The client's whole key"
    show_full_result_count = False
    paginator = BigTablePaginator
    sortable_by = ("minute",)

    @display(description="Client")
    def client_in_words(self, row: Usage | PolicyDenial) -> str:
        return row.client_name

    @display(description="Endpoint")
    def endpoint_in_words(self, row: Usage | PolicyDenial) -> str:
        return row.endpoint_name


@admin.register(Usage)
class UsageAdmin(CountsAdmin):
    introduction = "Every request that was decided, counted by minute, client, endpoint and outcome."
    list_display = ("minute", "client_in_words", "endpoint_in_words", "outcome_label", "requests", "cost")
    list_filter = ("outcome",)

    @display(description="Outcome", label=_OUTCOME_COLOURS)
    def outcome_label(self, row: Usage) -> str:
        return row.outcome


@admin.register(PolicyDenial)
class PolicyDenialAdmin(CountsAdmin):
    introduction = (
        "Which policy denied how many requests, by minute. A policy in shadow mode denies nothing: its rows say what "
        "it would have denied."
    )
    list_display = ("minute", "client_in_words", "endpoint_in_words", "policy", "mode", "requests")
    list_filter = ("mode",)
