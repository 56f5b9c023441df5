"""Clients: the list, and the page of a single client. There may be a million of them."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.decorators import action, display

from limits.admin.base import (
    BigTablePaginator,
    HasIntroduction,
    PlatformModelAdmin,
    SearchesByBeginning,
    SortsSearchResults,
)
from limits.admin.client_actions import block_view, reset_view, status_view
from limits.admin.client_bulk import add_tags_view, move_below_view, move_view, remove_tags_view
from limits.admin.client_files import export_view, import_view
from limits.admin.client_page import client_page, limits_section
from limits.admin.explain import explain_view
from limits.admin.forms import TagsField
from limits.admin.overrides import OverrideInline, set_author, warn_about_inactive
from limits.admin.publishing import PublishesClients
from limits.admin.quick_overrides import quick_override_view
from limits.admin.row_history import ShowsHistory
from limits.admin.tags import TagFilter, raise_links
from limits.admin.trees import PARENT, TreeFilter, children_in_the_way, parent_links
from limits.models import Client, Override, OverrideLimit
from ratelimit_enforcer.domain.enums import ClientStatus

_STATUS_COLOURS = {"active": "success", "exempt": "info", "blocked": "danger"}


class ClientForm(ModelForm):
    tags = TagsField(
        required=False,
        help_text="Words that group clients, such as “wholesale”, separated by spaces or commas. Limits can be raised "
        "for all clients with a tag.",
    )


@admin.register(Client)
class ClientAdmin(
    HasIntroduction, ShowsHistory, SortsSearchResults, SearchesByBeginning, PublishesClients, PlatformModelAdmin
):
    introduction = (
        "Registered clients: customers, tenants, API keys. Unregistered clients are limited too, by the default plan."
    )
    form = ClientForm
    list_display = ("key", "name", "parent_link", "plan_or_default", "tags_text", "status_label", "updated_at")
    list_filter = (TagFilter, "status", "plan", TreeFilter)
    narrow_filters = (TagFilter.parameter_name, PARENT)
    list_select_related = ("plan", "parent")
    autocomplete_fields = ("parent",)
    search_fields = ("^key", "^name")
    search_help_text = "Search by the beginning of the key or name"
    sortable_by = ("key",)
    show_full_result_count = False
    paginator = BigTablePaginator
    fields = ("key", "name", ("plan", "status"), "parent", "tags")
    inlines = (OverrideInline,)
    actions = ("move_to_plan", "move_below_parent", "add_tags", "remove_tags")
    actions_list = ("import_clients", "export_clients")
    change_form_outer_before_template = "admin/limits/client/page.html"

    def get_urls(self) -> list[URLPattern]:
        return [
            self._page("block/", lambda request: block_view(request, self.admin_site), "block"),
            self._page("explain/", lambda request: explain_view(request, self.admin_site), "explain"),
            self._page("<int:object_id>/status/<str:status>/", self._status, "status"),
            self._page("<int:object_id>/more/", self._raise_limits, "more"),
            self._page("<int:object_id>/reset/", self._reset, "reset_counters"),
            self._page("<int:object_id>/standing/", self._current_limits, "current_limits"),
            *super().get_urls(),
        ]

    def _page(self, address: str, view: Any, name: str) -> URLPattern:
        return path(address, self.admin_site.admin_view(view), name=f"limits_client_{name}")

    def _status(self, request: HttpRequest, object_id: int, status: str) -> HttpResponse:
        return status_view(request, self.admin_site, get_object_or_404(Client, pk=object_id), status)

    def _raise_limits(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return quick_override_view(request, self.admin_site, get_object_or_404(Client, pk=object_id))

    def _reset(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return reset_view(request, self.admin_site, get_object_or_404(Client, pk=object_id))

    def _current_limits(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Returns only the usage bars, which the page refreshes periodically."""
        client = get_object_or_404(Client, pk=object_id)
        if not self.has_view_or_change_permission(request, client):
            raise PermissionDenied
        return TemplateResponse(request, "admin/limits/client/current_limits.html", limits_section(request, client))

    @action(description="Import…", url_path="import", permissions=["import"], icon="upload_file")
    def import_clients(self, request: HttpRequest) -> HttpResponse:
        return import_view(request, self.admin_site)

    @action(description="Export", url_path="export", permissions=["view"], icon="download")
    def export_clients(self, request: HttpRequest) -> HttpResponse:
        return export_view(request)

    @action(description="Move selected clients to a plan…", permissions=["change"])
    def move_to_plan(self, request: HttpRequest, queryset: QuerySet[Client]) -> HttpResponse | None:
        return move_view(request, self.admin_site, queryset)

    @action(description="Move selected clients below a parent…", permissions=["change"])
    def move_below_parent(self, request: HttpRequest, queryset: QuerySet[Client]) -> HttpResponse | None:
        return move_below_view(request, self.admin_site, queryset)

    @action(description="Add tags to selected clients…", permissions=["change"])
    def add_tags(self, request: HttpRequest, queryset: QuerySet[Client]) -> HttpResponse | None:
        return add_tags_view(request, self.admin_site, queryset)

    @action(description="Remove tags from selected clients…", permissions=["change"])
    def remove_tags(self, request: HttpRequest, queryset: QuerySet[Client]) -> HttpResponse | None:
        return remove_tags_view(request, self.admin_site, queryset)

    def has_import_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return request.user.has_perm("limits.add_clientimport") and self.has_change_permission(request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        links = [*parent_links(request), *raise_links(request)]
        return super().changelist_view(request, {"filtered_links": links} | (extra_context or {}))

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup == PARENT or super().lookup_allowed(lookup, value, request)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        rows = Client.objects.select_related("plan", "parent")
        client = rows.filter(pk=object_id).first() if object_id.isdigit() else None
        page = client_page(request, client) if client and request.method == "GET" else {}
        return super().change_view(request, object_id, form_url, page | (extra_context or {}))

    def history_of_parts(self, pk: object) -> Iterable[QuerySet[Any]]:
        overrides = Override.history.filter(client_id=pk)
        limits = OverrideLimit.history.filter(override_id__in=overrides.values("id"))
        return [overrides, limits]

    def effect_of_deleting(self, queryset: QuerySet[Client], count: int) -> str:
        """Returns a sentence about the effect on the clients' requests."""
        blocked = queryset.filter(status=ClientStatus.BLOCKED).count()
        sentence = "Requests of unregistered clients are limited by the default plan."
        if queryset.filter(parent__isnull=False).exists():
            sentence += " They no longer count towards the limits of a parent."
        if not blocked:
            return sentence
        clients = "The client is" if count == 1 else f"{blocked:,} of the clients {'is' if blocked == 1 else 'are'}"
        return f"{sentence} {clients} blocked now, and will no longer be blocked."

    def obstacle_to_deleting(self, queryset: QuerySet[Client]) -> str:
        return children_in_the_way(queryset)

    def client_keys_of(self, queryset: QuerySet[Client]) -> list[str]:
        return list(queryset.values_list("key", flat=True))

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return ["key"] if obj else []

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        set_author(request, [each.instance for each in formset.forms])
        super().save_formset(request, form, formset, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        overrides = [each for formset in formsets for each in formset.forms if each.instance.pk]
        changed = [each for each in overrides if each.has_changed() or "plan" in form.changed_data]
        warn_about_inactive(request, [each.instance.pk for each in changed])

    @display(description="Parent")
    def parent_link(self, client: Client) -> str:
        if client.parent is None:
            return ""
        url = reverse("admin:limits_client_change", args=[client.parent.pk])
        return format_html('<a class="rl-link" href="{}">{}</a>', url, client.parent)

    @display(description="Plan")
    def plan_or_default(self, client: Client) -> str:
        if client.plan:
            return str(client.plan)
        return f"limits of {client.parent}" if client.parent else "default plan"

    @display(description="Tags")
    def tags_text(self, client: Client) -> str:
        return ", ".join(client.tags)

    @display(description="Status", label=_STATUS_COLOURS)
    def status_label(self, client: Client) -> str:
        return client.status
