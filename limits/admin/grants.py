"""Grants: units beyond a quota that a client was sold or given. One step, without a review."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import display
from unfold.utils import display_for_label

from limits.admin.base import HasIntroduction, PlatformModelAdmin, SearchesByBeginning
from limits.admin.forms import form_page, reason_field
from limits.admin.grant_form import GrantForm, effect
from limits.admin.permissions import require_permission
from limits.admin.publishing import PublishesClients, publish_clients
from limits.admin.row_history import ShowsHistory
from limits.models import Client, Grant, Policy
from limits.models.grants import GRANTABLE, GrantFigures
from limits.models.history import change_reason
from limits.publishing.grants import end
from ratelimit_enforcer.domain.dates import date_and_time

SHOWN_GRANTS = 10
"""Number of grants on a client's page."""

_COLOURS = {"active": "success", "scheduled": "info", "ended": "info"}


class StateFilter(admin.SimpleListFilter):
    """Grants that can be used now or later, and those that ended."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("live", "active or scheduled"), ("ended", "ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Grant]) -> QuerySet[Grant]:
        match self.value():
            case "live":
                return queryset.filter(ends_at__gt=timezone.now())
            case "ended":
                return queryset.filter(ends_at__lte=timezone.now())
        return queryset


@admin.register(Grant)
class GrantAdmin(HasIntroduction, ShowsHistory, SearchesByBeginning, PublishesClients, PlatformModelAdmin):
    introduction = (
        "Units that clients may use beyond the quota of a policy with a calendar limit, such as 10,000 more this "
        "month. The quota of the period is used first. A grant is live when it is saved. It is ended, not deleted, "
        "once anything was used of it."
    )
    form = GrantForm
    list_display = ("client_link", "policy", "amount_text", "remaining", "state_label", "reason", "author")
    list_display_links = ("amount_text",)
    list_filter = (StateFilter, "policy")
    list_select_related = ("client", "policy", "total")
    search_fields = ("^client__key", "^client__name")
    search_help_text = "Search by the beginning of the client's key or name"
    show_full_result_count = False
    autocomplete_fields = ("client",)
    fields = ("client", "policy", "amount", "starts_at", "ends_at", "priority", "reason")
    change_form_after_template = "admin/limits/grant/effect.html"
    change_form_outer_before_template = "admin/limits/grant/page.html"

    def get_urls(self) -> list[URLPattern]:
        preview = self.admin_site.admin_view(self.preview)
        ending = self.admin_site.admin_view(self.end_view)
        return [
            path("effect/", preview, name="limits_grant_effect"),
            path("<int:object_id>/end/", ending, name="limits_grant_end"),
            *super().get_urls(),
        ]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Grants are ended; one of which nothing was used is removed by that."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return ["client", "policy", "starts_at"] if obj else []

    def client_keys_of(self, queryset: QuerySet[Grant]) -> list[str]:
        return list(queryset.values_list("client__key", flat=True))

    def save_model(self, request: HttpRequest, obj: Grant, form: Any, change: bool) -> None:
        if not change:
            obj.author = request.user.get_username()
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Grant, post_url_continue: str | None = None) -> HttpResponse:
        """Returns to the page of the client, from which the form was opened."""
        response = super().response_add(request, obj, post_url_continue)
        if "_addanother" in request.POST or "_continue" in request.POST or "client" not in request.GET:
            return response
        return HttpResponseRedirect(_page_of(obj.client_id))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], obj: Grant | None = None, **options: Any
    ) -> HttpResponse:
        context |= {"effect": effect(obj) if obj else "", "effect_follows": obj is None, "grant": obj}
        if obj is not None:
            context |= {"row": row_of(obj), "may_end": self._may_end(request, obj)}
        return super().render_change_form(request, context, obj=obj, **options)

    def preview(self, request: HttpRequest) -> HttpResponse:
        """Returns the effect of the values in the URL, in words."""
        if not self.has_add_permission(request) and not self.has_change_permission(request):
            raise PermissionDenied
        form = self.get_form(request)(request.GET)
        form.is_valid()
        text = effect(form.instance)
        return TemplateResponse(request, "admin/limits/grant/effect_text.html", {"effect": text})

    def end_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Asks for a reason, and ends the grant."""
        require_permission(request, "limits.change_grant")
        grant = get_object_or_404(Grant.objects.select_related("client", "policy"), pk=object_id)
        form = EndForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            return _end(request, grant, form.cleaned_data["why"])
        return form_page(
            request,
            self.admin_site,
            form,
            title=f"End the grant of {grant.amount:,} for “{grant.client}” now",
            intro=[
                f"{row_of(grant).remaining:,} of {grant.amount:,} remain, and can no longer be used from the next "
                "request on. A grant of which nothing was used is removed."
            ],
            submit="End now",
            danger=True,
            back=_page_of(grant.client_id),
            opts=Grant._meta,
        )

    def _may_end(self, request: HttpRequest, grant: Grant) -> bool:
        return grant.state() != "ended" and self.has_change_permission(request, grant)

    @display(description="Client", ordering="client__key")
    def client_link(self, grant: Grant) -> str:
        return format_html('<a class="rl-link" href="{}">{}</a>', _page_of(grant.client_id), grant.client)

    @display(description="Amount", ordering="amount")
    def amount_text(self, grant: Grant) -> str:
        return f"{grant.amount:,}"

    @display(description="Remaining")
    def remaining(self, grant: Grant) -> str:
        return f"{row_of(grant).remaining:,}"

    @display(description="State", ordering="ends_at", header=True)
    def state_label(self, grant: Grant) -> tuple[str, str]:
        """Returns a label, and the dates below it."""
        return display_for_label(grant.state(), "", _COLOURS), grant.dates


@dataclass(frozen=True, slots=True)
class GrantRow:
    """A grant as pages show it: ``remaining`` units that can still be used (0 once it ended), and ``used`` ones."""

    grant: Grant
    state: str
    used: int
    remaining: int

    @property
    def is_ended(self) -> bool:
        return self.state == "ended"

    @property
    def until(self) -> str:
        return date_and_time(self.grant.ends_at)

    @property
    def starts(self) -> str:
        return date_and_time(self.grant.starts_at)


def row_of(grant: Grant) -> GrantRow:
    """Returns the figures of a grant, from the sum that was read with it."""
    total = getattr(grant, "total", None)
    figures = GrantFigures(total.consumed, total.returned) if total else GrantFigures()
    state = grant.state()
    remaining = 0 if state == "ended" else figures.remaining_of(grant.amount)
    return GrantRow(grant, state, figures.used, remaining)


def grants_of(client: Client) -> list[GrantRow]:
    """Returns the latest grants of a client, those first that end last."""
    return [row_of(grant) for grant in client.grants.select_related("policy", "total")[:SHOWN_GRANTS]]


def grants_section(request: HttpRequest, client: Client) -> dict[str, Any]:
    """Returns the context of the section of the client's page."""
    may_add = request.user.has_perm("limits.add_grant") and Policy.objects.filter(GRANTABLE).exists()
    rows = grants_of(client) if request.user.has_perm("limits.view_grant") else []
    return {
        "grants": rows,
        "more_grants": client.grants.count() > len(rows) if rows else False,
        "may_add_grant": may_add,
        "may_end_grant": request.user.has_perm("limits.change_grant"),
    }


class EndForm(forms.Form):
    """The form for the reason of an end."""

    why = reason_field("Ordered by mistake.")


def _end(request: HttpRequest, grant: Grant, why: str) -> HttpResponse:
    with change_reason(why), transaction.atomic():
        is_kept = end(grant)
        publish_clients(request, [grant.client.key])
    text = "ended" if is_kept else "was removed, since nothing was used of it"
    messages.success(request, f"The grant of {grant.amount:,} of “{grant.policy}” {text}.")
    return HttpResponseRedirect(_page_of(grant.client_id))


def _page_of(client: int) -> str:
    return reverse("admin:limits_client_change", args=[client])
