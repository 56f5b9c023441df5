"""Policies, with their limits inline."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display

from limits.admin.fields import SlugKept
from limits.admin.limits import PolicyLimitInline
from limits.admin.publishing import PublishesRules
from limits.models import Policy

_MODE_COLOURS = {"enforce": "success", "shadow": "warning", "disabled": "danger"}


@admin.register(Policy)
class PolicyAdmin(SlugKept, PublishesRules, ModelAdmin):
    is_reviewed = True
    list_display = ("slug", "plan_or_every", "endpoint_or_all", "limits_in_words", "mode_label")
    list_filter = ("plan", "endpoint", "mode")
    list_select_related = ("plan", "endpoint")
    search_fields = ("slug", "name", "plan__name", "endpoint__name")
    autocomplete_fields = ("endpoint",)
    slug_from = "name"
    fieldsets = (
        (None, {"fields": ("name", "slug", ("plan", "endpoint"))}),
        ("How it acts", {"fields": ("mode", "partition", "on_store_failure")}),
    )
    inlines = (PolicyLimitInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Policy]:
        return super().get_queryset(request).prefetch_related("limits")

    @display(description="Plan", ordering="plan__name")
    def plan_or_every(self, policy: Policy) -> str:
        return str(policy.plan) if policy.plan else "every plan"

    @display(description="Endpoint", ordering="endpoint__name")
    def endpoint_or_all(self, policy: Policy) -> str:
        return str(policy.endpoint) if policy.endpoint else "all requests"

    @display(description="Limits")
    def limits_in_words(self, policy: Policy) -> str:
        return policy.sentence

    @display(description="Mode", ordering="mode", label=_MODE_COLOURS)
    def mode_label(self, policy: Policy) -> str:
        return policy.mode
