"""Publications: what went live, when, by whom and why. They are read-only; a rollback publishes an earlier
version as a new one."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import AdminSite
from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action, display

from limits.admin.base import HasIntroduction, PlatformModelAdmin
from limits.admin.forms import ReadOnlyAdmin, place_of
from limits.admin.publishing import changes_of, publication_of, publish_rules, reviewed
from limits.admin.undo import undo_view
from limits.configfile.apply import restore_rules
from limits.configfile.reading import InvalidConfig
from limits.models import ChangeSet, Publication
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.domain.validation import InvalidRuleset

_NOTES = (
    "API tokens, the emergency switch, clients and overrides do not change.",
    "Counters are preserved, including those of restored policies.",
)


def roll_back_view(request: HttpRequest, admin_site: AdminSite, publication: Publication) -> HttpResponse:
    """Shows what a rollback would change, and performs it after confirmation."""
    back = reverse("admin:limits_publication_change", args=[publication.pk])
    try:
        return reviewed(
            request,
            admin_site,
            lambda: _restore(request, publication),
            back=back,
            can_edit=False,
            intro=f"Restores the rules of version {publication.sequence}.",
            notes=_NOTES,
            opts=Publication._meta,
        )
    except (InvalidConfig, InvalidRuleset) as rejection:
        for problem in rejection.problems:
            messages.error(request, f"Nothing was changed. {place_of(problem)} {problem.message}")
        return HttpResponseRedirect(back)


def _restore(request: HttpRequest, publication: Publication) -> HttpResponse:
    restore_rules(Ruleset.from_bytes(publication.content.encode()))
    publish_rules(request, f"Rolled back to version {publication.sequence}.")
    if publication_of(request) is None:
        messages.info(request, f"The current rules are already those of version {publication.sequence}.")
    return HttpResponseRedirect(reverse("admin:limits_publication_changelist"))


_STATE_COLOURS = {
    "live": "success",
    "live, scheduled": "success",
    "scheduled": "warning",
    "withdrawn": "info",
    "replaced": "info",
    "not live yet": "warning",
    "partially live": "warning",
}

_LIVE = Q(state=Publication.State.LIVE)
_IN_FORCE = _LIVE & Q(sequence=F("in_force"))
_SCHEDULED, _WITHDRAWN = (
    Q(change_state=state) for state in (ChangeSet.State.SCHEDULED.value, ChangeSet.State.WITHDRAWN.value)
)
_FILTERS = {
    "force": ("live", _IN_FORCE),
    "past": ("replaced", _LIVE & ~_IN_FORCE & ~_SCHEDULED & ~_WITHDRAWN),
    "later": ("scheduled", _SCHEDULED),
    "withdrawn": ("withdrawn", _LIVE & ~_IN_FORCE & _WITHDRAWN),
    "way": ("not live yet", ~_LIVE),
}
"""Value in the URL → label, and filter for rows as :meth:`PublicationAdmin.get_queryset` annotates them."""


class StateFilter(admin.SimpleListFilter):
    """Filters by state: in force, replaced by a later version, of a change set that is scheduled or was withdrawn, or
    not live yet."""

    title = "state"
    parameter_name = "in"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, label) for value, (label, _) in _FILTERS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Publication]) -> QuerySet[Publication]:
        _, chosen = _FILTERS.get(self.value() or "", ("", None))
        return queryset if chosen is None else queryset.filter(chosen)


@admin.register(Publication)
class PublicationAdmin(HasIntroduction, ReadOnlyAdmin, PlatformModelAdmin):
    introduction = (
        "All published versions of the rules. Open a version to see what it changed, to undo its changes, or to roll "
        "back to it."
    )
    list_display = ("sequence", "created_at", "author", "reason", "first_change", "state_label")
    list_filter = (StateFilter,)
    search_fields = ("=sequence", "author", "reason")
    fields = ("sequence", "state_label", "author", "reason", "created_at", "live_at", "change_set", "what_changed")
    readonly_fields = fields
    show_full_result_count = False
    actions_detail = ("undo", "roll_back")

    @action(description="Undo this change…", url_path="undo", permissions=["undo"], icon="settings_backup_restore")
    def undo(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return undo_view(request, self.admin_site, get_object_or_404(Publication, pk=object_id))

    def has_undo_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return request.user.has_perm("limits.add_changeset")

    @action(description="Roll back to this version…", url_path="roll-back", permissions=["roll_back"], icon="undo")
    def roll_back(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return roll_back_view(request, self.admin_site, get_object_or_404(Publication, pk=object_id))

    def has_roll_back_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return request.user.has_perm("limits.roll_back")

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """The newest version equals the present rules: a rollback to it is not offered."""
        found: list[Any] = super().get_actions_detail(request, object_id)
        newest = Publication.objects.order_by("-sequence").values_list("pk", flat=True).first()
        is_newest = str(newest) == str(object_id)
        return [each for each in found if not (is_newest and each.action_name.endswith("roll_back"))]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Publication]:
        """Adds ``in_force``: the sequence of the version that is live; and ``change_state``: the state of the change
        set that the version published, empty if there is none."""
        live = Publication.objects.filter(state=Publication.State.LIVE).order_by("-sequence").values("sequence")[:1]
        state = ChangeSet.objects.filter(publication=OuterRef("pk")).values("state")[:1]
        rows = super().get_queryset(request).defer("content")
        return rows.annotate(in_force=Subquery(live), change_state=Coalesce(Subquery(state), Value("")))

    @display(description="Change set")
    def change_set(self, publication: Publication) -> str:
        change = ChangeSet.objects.filter(publication=publication).first()
        if change is None:
            return "none"
        url = reverse("admin:limits_changeset_change", args=[change.pk])
        return format_html('<a class="rl-link" href="{}">{}</a>, {}', url, change, change.get_state_display())

    @display(description="Changes")
    def first_change(self, publication: Publication) -> str:
        changes = publication.changes
        return f"{changes[0]} (and {len(changes) - 1} more)" if len(changes) > 1 else "".join(changes)

    @display(description="Changes")
    def what_changed(self, publication: Publication) -> str:
        changes = changes_of(publication)
        return render_to_string("admin/limits/publication/changes.html", {"changes": changes})

    @display(description="State", ordering="state", label=_STATE_COLOURS)
    def state_label(self, publication: Any) -> str:
        change = publication.change_state
        if publication.state != Publication.State.LIVE:
            return str(publication.get_state_display())
        if publication.sequence == publication.in_force:
            return "live, scheduled" if change == ChangeSet.State.SCHEDULED else "live"
        return str(change) if change in (ChangeSet.State.SCHEDULED, ChangeSet.State.WITHDRAWN) else "replaced"
