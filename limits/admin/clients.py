"""Clients: the list, and the page of one. There may be a million of them."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from unfold.decorators import action, display

from limits.admin import client_page
from limits.admin.base import PlatformModelAdmin
from limits.admin.client_files import export_view, import_view
from limits.admin.client_plans import move_view
from limits.admin.client_status import status_view
from limits.admin.explain import explain_view
from limits.admin.help import Introduced
from limits.admin.overrides import OverrideInline, remember_author, warn_where_none_applies
from limits.admin.paginator import BigTablePaginator
from limits.admin.publishing import PublishesClients
from limits.admin.quick_overrides import quick_override_view
from limits.admin.resets import reset_view
from limits.admin.row_history import ShowsHistory
from limits.admin.sorted_search import SortsWhatItFinds
from limits.admin.unregistered import block_view
from limits.domain.words import ClientStatus
from limits.models import Client, Override, OverrideLimit

_STATUS_COLOURS = {"active": "success", "exempt": "info", "blocked": "danger"}


@admin.register(Client)
class ClientAdmin(Introduced, ShowsHistory, SortsWhatItFinds, PublishesClients, PlatformModelAdmin):
    introduction = (
        "Who is limited: customers, tenants, API keys. A caller needs no row here to be limited; one that is not "
        "registered is on the default plan."
    )
    list_display = ("key", "name", "plan_or_default", "status_label", "updated_at")
    list_filter = ("status", "plan")
    list_select_related = ("plan",)
    search_fields = ("^key", "^name")
    search_help_text = "The beginning of the key or of the name"
    sortable_by = ("key",)
    show_full_result_count = False
    paginator = BigTablePaginator
    fields = ("key", "name", ("plan", "status"))
    inlines = (OverrideInline,)
    actions = ("move_to_plan",)
    actions_list = ("import_clients", "export_clients")
    change_form_outer_before_template = "admin/limits/client/page.html"

    def get_urls(self) -> list[URLPattern]:
        return [
            self._page("block/", lambda request: block_view(request, self.admin_site), "block"),
            self._page("explain/", lambda request: explain_view(request, self.admin_site), "explain"),
            self._page("<int:object_id>/status/<str:word>/", self._status, "status"),
            self._page("<int:object_id>/more/", self._more, "more"),
            self._page("<int:object_id>/reset/", self._reset, "reset_counters"),
            self._page("<int:object_id>/standing/", self._standing, "standing"),
            *super().get_urls(),
        ]

    def _page(self, address: str, view: Any, name: str) -> URLPattern:
        return path(address, self.admin_site.admin_view(view), name=f"limits_client_{name}")

    def _status(self, request: HttpRequest, object_id: int, word: str) -> HttpResponse:
        return status_view(request, self.admin_site, get_object_or_404(Client, pk=object_id), word)

    def _more(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return quick_override_view(request, self.admin_site, get_object_or_404(Client, pk=object_id))

    def _reset(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return reset_view(request, self.admin_site, get_object_or_404(Client, pk=object_id))

    def _standing(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The bars alone, which the page asks for again and again."""
        client = get_object_or_404(Client, pk=object_id)
        if not self.has_view_or_change_permission(request, client):
            raise PermissionDenied
        return TemplateResponse(request, "admin/limits/client/standing.html", client_page.standing(request, client))

    @action(description="Import…", url_path="import", permissions=["import"], icon="upload_file")
    def import_clients(self, request: HttpRequest) -> HttpResponse:
        return import_view(request, self.admin_site)

    @action(description="Export", url_path="export", permissions=["view"], icon="download")
    def export_clients(self, request: HttpRequest) -> HttpResponse:
        return export_view(request)

    @action(description="Move the selected clients to a plan…", permissions=["change"])
    def move_to_plan(self, request: HttpRequest, queryset: QuerySet[Client]) -> HttpResponse | None:
        return move_view(request, self.admin_site, queryset)

    def has_import_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return request.user.has_perm("limits.add_clientimport") and self.has_change_permission(request)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        client = Client.objects.select_related("plan").filter(pk=object_id).first() if object_id.isdigit() else None
        page = client_page.page(request, client) if client and request.method == "GET" else {}
        return super().change_view(request, object_id, form_url, page | (extra_context or {}))

    def history_of_parts(self, pk: object) -> Iterable[QuerySet[Any]]:
        overrides = Override.history.filter(client_id=pk)
        limits = OverrideLimit.history.filter(override_id__in=overrides.values("id"))
        return [overrides, limits]

    def consequence_of_deleting(self, queryset: QuerySet[Client], count: int) -> str:
        """What happens to their requests."""
        blocked = queryset.filter(status=ClientStatus.BLOCKED).count()
        whose, who = (
            ("its", "It is") if count == 1 else ("their", f"{blocked:,} of them {'is' if blocked == 1 else 'are'}")
        )
        sentence = (
            f"From then on the default plan limits {whose} requests, as those of any caller that is not registered."
        )
        return f"{sentence} {who} blocked now, and will no longer be." if blocked else sentence

    def client_keys_of(self, queryset: QuerySet[Client]) -> list[str]:
        return list(queryset.values_list("key", flat=True))

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return ["key"] if obj else []

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        remember_author(request, [each.instance for each in formset.forms])
        super().save_formset(request, form, formset, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        overrides = [each for formset in formsets for each in formset.forms if each.instance.pk]
        changed = [each for each in overrides if each.has_changed() or "plan" in form.changed_data]
        warn_where_none_applies(request, [each.instance.pk for each in changed])

    @display(description="Plan")
    def plan_or_default(self, client: Client) -> str:
        return str(client.plan) if client.plan else "the default plan"

    @display(description="Status", label=_STATUS_COLOURS)
    def status_label(self, client: Client) -> str:
        return client.status
