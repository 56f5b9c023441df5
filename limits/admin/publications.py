"""Publications: what went live, when, by whom and why. Nobody edits them; one can go back to them."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from unfold.decorators import action, display

from limits.admin.base import PlatformModelAdmin
from limits.admin.fields import NobodyEdits
from limits.admin.help import Introduced
from limits.admin.review import changes_of
from limits.admin.rollback import roll_back_view
from limits.models import Publication

_STATE_COLOURS = {"live": "success", "partial": "warning", "pending": "warning"}


@admin.register(Publication)
class PublicationAdmin(Introduced, NobodyEdits, PlatformModelAdmin):
    introduction = (
        "Every version of the rules that went live: who published it, when and why. Open one to see what it "
        "changed, and to go back to it."
    )
    list_display = ("sequence", "created_at", "author", "reason", "first_change", "state_label")
    list_filter = ("state",)
    search_fields = ("=sequence", "author", "reason")
    fields = ("sequence", "state", "author", "reason", "created_at", "live_at", "what_changed")
    readonly_fields = fields
    show_full_result_count = False
    actions_detail = ("roll_back",)

    @action(description="Roll back to this version…", url_path="roll-back", permissions=["roll_back"], icon="undo")
    def roll_back(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return roll_back_view(request, self.admin_site, get_object_or_404(Publication, pk=object_id))

    def has_roll_back_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return request.user.has_perm("limits.roll_back")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Publication]:
        return super().get_queryset(request).defer("content")

    @display(description="What changed")
    def first_change(self, publication: Publication) -> str:
        changes = publication.changes
        return f"{changes[0]} (and {len(changes) - 1} more)" if len(changes) > 1 else "".join(changes)

    @display(description="What changed")
    def what_changed(self, publication: Publication) -> str:
        changes = changes_of(publication)
        return render_to_string("admin/limits/publication/changes.html", {"changes": changes})

    @display(description="State", ordering="state", label=_STATE_COLOURS)
    def state_label(self, publication: Publication) -> tuple[str, str]:
        return publication.state, publication.get_state_display()
