"""Clients, with their overrides inline. There may be a million of them."""

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from limits.admin.overrides import OverrideInline, remember_author
from limits.admin.paginator import BigTablePaginator
from limits.admin.publishing import PublishesClients
from limits.admin.resets import reset_view
from limits.models import Client

_STATUS_COLOURS = {"active": "success", "exempt": "info", "blocked": "danger"}


@admin.register(Client)
class ClientAdmin(PublishesClients, ModelAdmin):
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
    actions_detail = ("reset_counters",)

    @action(description="Forget counters…", url_path="reset", permissions=["change"])
    def reset_counters(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return reset_view(request, self.admin_site, get_object_or_404(Client, pk=object_id))

    def client_keys_of(self, queryset: QuerySet[Client]) -> list[str]:
        return list(queryset.values_list("key", flat=True))

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return ["key"] if obj else []

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        remember_author(request, [each.instance for each in formset.forms])
        super().save_formset(request, form, formset, change)

    @display(description="Plan")
    def plan_or_default(self, client: Client) -> str:
        return str(client.plan) if client.plan else "the default plan"

    @display(description="Status", label=_STATUS_COLOURS)
    def status_label(self, client: Client) -> str:
        return client.status
