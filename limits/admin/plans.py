"""Plans."""

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display

from limits.admin.fields import SlugKept
from limits.admin.publishing import PublishesRules
from limits.models import Plan


@admin.register(Plan)
class PlanAdmin(SlugKept, PublishesRules, ModelAdmin):
    list_display = ("name", "slug", "default", "policies")
    search_fields = ("name", "slug")
    fields = ("name", "slug", "description", "is_default")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Plan]:
        return super().get_queryset(request).annotate(policy_count=Count("policies"))

    @display(description="Default", boolean=True, ordering="is_default")
    def default(self, plan: Plan) -> bool:
        return plan.is_default

    @display(description="Policies", ordering="policy_count")
    def policies(self, plan: Plan) -> int:
        return plan.policy_count  # type: ignore[attr-defined]
