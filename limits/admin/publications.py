"""Publications: what went live, when, by whom and why. Nobody edits them; one can go back to them."""

from typing import Any

from django.contrib import admin
from django.db.models import F, Q, QuerySet, Subquery
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

_STATE_COLOURS = {"live": "success", "replaced": "info", "not live yet": "warning", "live in parts": "warning"}


class StateFilter(admin.SimpleListFilter):
    """In force, replaced by a later version, or on the way."""

    title = "state"
    parameter_name = "in"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("force", "live"), ("past", "replaced"), ("way", "not live yet")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Publication]) -> QuerySet[Publication]:
        live = Q(state=Publication.State.LIVE)
        chosen = {"force": live & Q(sequence=F("in_force")), "past": live & ~Q(sequence=F("in_force")), "way": ~live}
        wanted = chosen.get(self.value() or "")
        return queryset if wanted is None else queryset.filter(wanted)


@admin.register(Publication)
class PublicationAdmin(Introduced, NobodyEdits, PlatformModelAdmin):
    introduction = (
        "Every version of the rules that went live: who published it, when and why. Open one to see what it "
        "changed, and to go back to it."
    )
    list_display = ("sequence", "created_at", "author", "reason", "first_change", "state_label")
    list_filter = (StateFilter,)
    search_fields = ("=sequence", "author", "reason")
    fields = ("sequence", "state_label", "author", "reason", "created_at", "live_at", "what_changed")
    readonly_fields = fields
    show_full_result_count = False
    actions_detail = ("roll_back",)

    @action(description="Roll back to this version…", url_path="roll-back", permissions=["roll_back"], icon="undo")
    def roll_back(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return roll_back_view(request, self.admin_site, get_object_or_404(Publication, pk=object_id))

    def has_roll_back_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return request.user.has_perm("limits.roll_back")

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """The newest version is what the rules are: there is no way back to it."""
        found: list[Any] = super().get_actions_detail(request, object_id)
        newest = Publication.objects.order_by("-sequence").values_list("pk", flat=True).first()
        return [] if str(newest) == str(object_id) else found

    def get_queryset(self, request: HttpRequest) -> QuerySet[Publication]:
        """``in_force``: the number of the version that is live."""
        live = Publication.objects.filter(state=Publication.State.LIVE).order_by("-sequence").values("sequence")[:1]
        return super().get_queryset(request).defer("content").annotate(in_force=Subquery(live))

    @display(description="What changed")
    def first_change(self, publication: Publication) -> str:
        changes = publication.changes
        return f"{changes[0]} (and {len(changes) - 1} more)" if len(changes) > 1 else "".join(changes)

    @display(description="What changed")
    def what_changed(self, publication: Publication) -> str:
        changes = changes_of(publication)
        return render_to_string("admin/limits/publication/changes.html", {"changes": changes})

    @display(description="State", ordering="state", label=_STATE_COLOURS)
    def state_label(self, publication: Publication) -> str:
        if publication.state == Publication.State.LIVE and publication.sequence != publication.in_force:  # type: ignore[attr-defined]
            return "replaced"
        return publication.get_state_display()
