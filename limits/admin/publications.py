"""Publications: what went live, when, by whom and why. Nobody edits them."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from unfold.admin import ModelAdmin
from unfold.decorators import display

from limits.admin.fields import NobodyEdits
from limits.models import Publication

_STATE_COLOURS = {"live": "success", "partial": "warning", "pending": "warning"}


@admin.register(Publication)
class PublicationAdmin(NobodyEdits, ModelAdmin):
    list_display = ("sequence", "created_at", "author", "reason", "first_change", "state_label")
    list_filter = ("state",)
    search_fields = ("=sequence", "author", "reason")
    fields = ("sequence", "state", "author", "reason", "created_at", "live_at", "what_changed")
    readonly_fields = fields
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Publication]:
        return super().get_queryset(request).defer("content")

    @display(description="What changed")
    def first_change(self, publication: Publication) -> str:
        changes = publication.changes
        return f"{changes[0]} (and {len(changes) - 1} more)" if len(changes) > 1 else "".join(changes)

    @display(description="What changed")
    def what_changed(self, publication: Publication) -> str:
        return format_html_join("", "<p>{}</p>", ((change,) for change in publication.changes)) or "Nothing."

    @display(description="State", ordering="state", label=_STATE_COLOURS)
    def state_label(self, publication: Publication) -> tuple[str, str]:
        return publication.state, publication.get_state_display()
