"""Plans."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from unfold.decorators import action, display

from limits.admin.base import PlatformModelAdmin
from limits.admin.comparison import comparison_view
from limits.admin.fields import SlugKept
from limits.admin.help import Introduced
from limits.admin.plan_copies import copy_view
from limits.admin.publishing import PublishesRules
from limits.admin.row_history import ShowsHistory
from limits.models import Plan


class PlanForm(ModelForm):
    """There is always one default plan; a plan that becomes it takes the place of the one before."""

    def clean_is_default(self) -> bool:
        chosen: bool = self.cleaned_data["is_default"]
        others = Plan.objects.exclude(pk=self.instance.pk)
        if not chosen and not others.filter(is_default=True).exists():
            raise ValidationError("One plan must be the default. Open the one that is to be it, and tick this there.")
        return chosen

    def _get_validation_exclusions(self) -> set[str]:
        """Leaves the constraint of one default plan out: saving makes room."""
        return {*super()._get_validation_exclusions(), "is_default"}  # type: ignore[misc]


@admin.register(Plan)
class PlanAdmin(Introduced, ShowsHistory, SlugKept, PublishesRules, PlatformModelAdmin):
    introduction = (
        "Tiers, such as Free and Pro. Every client is on one; whoever has none, and every caller that is not "
        "registered, is on the default plan."
    )
    introduction_links = (("See the plans side by side.", "admin:limits_plan_compare"),)
    is_reviewed = True
    form = PlanForm
    list_display = ("name", "slug", "default", "policies")
    search_fields = ("name", "slug")
    fields = ("name", "slug", "description", "is_default")
    actions_list = ("compare",)
    actions_detail = ("copy",)

    @action(description="Side by side", url_path="compare", permissions=["view"], icon="view_column")
    def compare(self, request: HttpRequest) -> HttpResponse:
        return comparison_view(request, self.admin_site)

    @action(description="Copy this plan…", url_path="copy", permissions=["copy"], icon="content_copy")
    def copy(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return copy_view(request, self.admin_site, get_object_or_404(Plan, pk=object_id))

    def has_copy_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return request.user.has_perm("limits.add_plan") and request.user.has_perm("limits.add_policy")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Plan]:
        return super().get_queryset(request).annotate(policy_count=Count("policies"))

    def save_model(self, request: HttpRequest, obj: Plan, form: Any, change: bool) -> None:
        if obj.is_default:
            Plan.end_defaults(Plan.objects.exclude(pk=obj.pk))
        super().save_model(request, obj, form, change)

    @display(description="Default", boolean=True, ordering="is_default")
    def default(self, plan: Plan) -> bool:
        return plan.is_default

    @display(description="Policies", ordering="policy_count")
    def policies(self, plan: Plan) -> int:
        return plan.policy_count  # type: ignore[attr-defined]
