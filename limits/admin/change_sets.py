"""Change sets: the list, and the page of one with all its steps."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from unfold.decorators import display

from limits.admin.base import HasIntroduction, PlatformModelAdmin
from limits.admin.change_set_forms import ChangeSetForm
from limits.admin.change_set_page import change_set_page, rebase_for_editor
from limits.admin.change_set_steps import STEPS
from limits.admin.change_set_views import resolve_view, view_of
from limits.admin.drafts import DRAFT_KEY
from limits.admin.row_history import ShowsHistory
from limits.admin.simulations import simulation_file_view, simulation_progress_view, simulations_view
from limits.admin.trials import groups_view
from limits.changes.lifecycle import newest_publication
from limits.changes.overview import timing
from limits.domain.edit_words import summary
from limits.models import ChangeSet

_STATE_COLOURS = {
    "draft": "info",
    "awaits approval": "warning",
    "approved": "info",
    "scheduled": "warning",
    "tried on a share of the clients": "warning",
    "published": "success",
}


@admin.register(ChangeSet)
class ChangeSetAdmin(HasIntroduction, ShowsHistory, PlatformModelAdmin):
    introduction = (
        "Several edits of plans, endpoints, policies and segment overrides that go live together: at once, at a time, "
        "or first for a share of the clients. Until then they apply to no client."
    )
    form = ChangeSetForm
    list_display = ("name", "state_label", "author", "created_at", "timing", "what_changes")
    list_filter = ("state",)
    search_fields = ("name", "author", "reason")
    fields = ("name", "reason")
    show_full_result_count = False
    change_form_outer_before_template = "admin/limits/changeset/page.html"

    def get_urls(self) -> list[URLPattern]:
        steps = [self._page(step.name, view_of(step, self.admin_site)) for step in STEPS]
        own = [self._page("resolve", resolve_view), self._page("groups", self._groups)]
        return [*steps, *own, *self._pages_of_simulations(), *super().get_urls()]

    def _pages_of_simulations(self) -> list[URLPattern]:
        def page(request: HttpRequest, object_id: int) -> HttpResponse:
            return simulations_view(request, self.admin_site, object_id)

        return [
            self._page("simulation", page),
            self._page("simulation/<int:run>/progress", simulation_progress_view),
            self._page("simulation/<int:run>/file", simulation_file_view),
        ]

    def _groups(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return groups_view(request, self.admin_site, object_id)

    def _page(self, name: str, view: Any) -> URLPattern:
        address = f"<int:object_id>/{name}/"
        name = name.replace("/<int:run>/", "_")
        return path(address, self.admin_site.admin_view(view), name=f"limits_changeset_{name}")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What is published or ended cannot be renamed."""
        return super().has_change_permission(request, obj) and (obj is None or obj.state in ChangeSet.EDITABLE)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Change sets are part of the history: a draft is discarded."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChangeSet]:
        return super().get_queryset(request).select_related("user", "base", "publication", "approved_by")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        change = self.get_object(request, object_id)
        page: dict[str, Any] = {}
        if change is not None and self.has_view_permission(request, change):
            if request.method == "GET" and (warning := rebase_for_editor(request, change)):
                messages.warning(request, warning)
            page = change_set_page(request, change)
        return super().change_view(request, object_id, form_url, page | (extra_context or {}))

    def save_model(self, request: HttpRequest, obj: ChangeSet, form: Any, change: bool) -> None:
        if change:
            _rename(request, obj)
            return
        obj.author, obj.user, obj.base = request.user.get_username(), request.user, newest_publication()  # type: ignore[assignment]
        obj.save()
        request.session[DRAFT_KEY] = obj.pk

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        messages.success(
            request,
            f"You now work in the draft “{obj}”: what you save in plans, endpoints, policies and segment overrides "
            "goes into it, and not live.",
        )
        return HttpResponseRedirect(reverse("admin:limits_changeset_change", args=[obj.pk]))

    @display(description="State", ordering="state", label=_STATE_COLOURS)
    def state_label(self, change: ChangeSet) -> str:
        return change.get_state_display()

    @display(description="When")
    def timing(self, change: ChangeSet) -> str:
        return timing(change)

    @display(description="Changes")
    def what_changes(self, change: ChangeSet) -> str:
        return summary(change.list_of_edits)


def _rename(request: HttpRequest, changed: ChangeSet) -> None:
    """Saves name and reason only: others may have saved edits in the meantime. Another reason withdraws the approval,
    which was given for this one; another name does not."""
    row = ChangeSet.objects.select_for_update().get(pk=changed.pk)
    if row.state not in ChangeSet.EDITABLE:
        raise PermissionDenied
    if row.reason != changed.reason and row.state == ChangeSet.State.APPROVED:
        row.set_edits(row.list_of_edits)
        messages.warning(request, "The approval was given for another reason: submit the change set again.")
    row.name, row.reason = changed.name, changed.reason
    row.save()
