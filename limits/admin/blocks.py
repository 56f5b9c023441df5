"""Blocks: clients, key prefixes and networks all of whose requests are denied. One step, without a review."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.decorators import action, display
from unfold.utils import display_for_label

from limits.admin.base import HasIntroduction, PlatformModelAdmin
from limits.admin.block_form import WHOM, BlockForm, block_of, effect, suggestions
from limits.admin.publishing import PublishesRules, publish_rules
from limits.admin.row_history import ShowsHistory
from limits.admin.whom import shown_if_chosen
from limits.domain.descriptions import quantity
from limits.models import Block
from limits.models.history import update_with_history
from ratelimit_enforcer.domain.dates import date_and_time
from ratelimit_enforcer.domain.validation import capitalized

_COLOURS = {"active": "danger", "ended": "info"}


class StateFilter(admin.SimpleListFilter):
    """Active and ended blocks."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("active", "active"), ("ended", "ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Block]) -> QuerySet[Block]:
        ended = Q(ends_at__isnull=False, ends_at__lte=timezone.now())
        match self.value():
            case "active":
                return queryset.exclude(ended)
            case "ended":
                return queryset.filter(ended)
        return queryset


@admin.register(Block)
class BlockAdmin(HasIntroduction, ShowsHistory, PublishesRules, PlatformModelAdmin):
    introduction = (
        "A block denies all requests of a client, of all clients whose key begins with a prefix, or from a network of "
        "addresses, registered or not, exempt or not. It applies when it is saved, and ends automatically."
    )
    form = BlockForm
    list_display = ("subject", "state", "reason", "created_by", "created_at")
    list_filter = (StateFilter,)
    list_select_related = ("created_by",)
    ordering = ("-created_at", "-pk")
    search_fields = ("^client_key", "^prefix", "^network", "reason")
    search_help_text = "Search by the beginning of the key, prefix or network, or by reason"
    show_full_result_count = False
    fields = ("whom", *WHOM, "reason", "ends_at")
    conditional_fields = shown_if_chosen(WHOM)
    change_form_after_template = "admin/limits/block/effect.html"
    actions = ("end_selected",)

    def get_urls(self) -> list[URLPattern]:
        preview = self.admin_site.admin_view(self.preview)
        return [path("effect/", preview, name="limits_block_effect"), *super().get_urls()]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Shows users who may only view it what is blocked, in one line."""
        if obj is None or self.has_change_permission(request, obj):
            return self.fields
        return ("subject", "reason", "ends_at")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return suggestions(request, super().get_changeform_initial_data(request))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Redirects to the active block of the client, prefix or network in the URL, if there is one."""
        if request.method == "GET" and self.has_add_permission(request):
            initial = self.get_changeform_initial_data(request)
            whom = initial.get("whom", "")
            row = block_of(whom, initial.get(whom, ""))
            if row and not row.has_ended:
                messages.info(request, "This is blocked already. You can change the block here.")
                return HttpResponseRedirect(reverse("admin:limits_block_change", args=[row.pk]))
        return super().add_view(request, form_url, extra_context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], obj: Block | None = None, **options: Any
    ) -> HttpResponse:
        may_edit = self.has_change_permission(request, obj) if obj else True
        context |= {"effect": effect(obj.as_domain()) if obj else "", "effect_follows": may_edit}
        return super().render_change_form(request, context, obj=obj, **options)

    def preview(self, request: HttpRequest) -> HttpResponse:
        """Returns the effect of the values in the URL, in words, or what is wrong with them."""
        if not self.has_add_permission(request) and not self.has_change_permission(request):
            raise PermissionDenied
        form = self.get_form(request)(request.GET)
        wrong = [error for name in ("whom", *WHOM, "ends_at") for error in form.errors.get(name, ())]
        text = str(wrong[0]) if wrong else effect(form.instance.as_domain())
        return TemplateResponse(request, "admin/limits/block/effect_text.html", {"effect": text, "wrong": bool(wrong)})

    def save_model(self, request: HttpRequest, obj: Block, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = request.user  # type: ignore[assignment]
        super().save_model(request, obj, form, change)

    def has_change_action_permission(self, request: HttpRequest) -> bool:
        return self.has_change_permission(request)

    @action(description="End selected blocks now", permissions=["change_action"])
    def end_selected(self, request: HttpRequest, queryset: QuerySet[Block]) -> None:
        now = timezone.now()
        with transaction.atomic():
            active = list(queryset.filter(Q(ends_at=None) | Q(ends_at__gt=now)))
            for block in active:
                block.ends_at = now
            update_with_history(Block, active, ["ends_at"], request.user)
            publish_rules(request, f"Ended {quantity(len(active), 'block')}.")
        messages.success(request, f"Ended {quantity(len(active), 'block')}.")

    @display(description="Blocked", ordering="client_key")
    def subject(self, block: Block) -> str:
        return capitalized(str(block))

    @display(description="State", ordering="ends_at", header=True)
    def state(self, block: Block) -> tuple[str, str]:
        """Returns a label, and the end below it."""
        label = "ended" if block.has_ended else "active"
        end = f"until {date_and_time(block.ends_at)}" if block.ends_at else "no end"
        return display_for_label(label, "", _COLOURS), end
