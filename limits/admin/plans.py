"""Plans, and copying a plan with all of its policies."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import AdminSite
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from limits.admin.base import HasIntroduction, PlatformModelAdmin
from limits.admin.comparison import comparison_view
from limits.admin.drafts import WorksOnDraft
from limits.admin.forms import ImmutableSlugAdmin, form_page
from limits.admin.plan_page import PLACES, move_view, plan_page
from limits.admin.publishing import EDIT_AGAIN, PublishesRules, message_on_commit, publish_rules, reviewed
from limits.admin.row_history import ShowsHistory
from limits.changes.overview import ShownChangeSet, planned_for, shown_change_set
from limits.models import Plan, Policy
from limits.models.fields import validate_printable, validate_slug
from ratelimit_enforcer.domain.validation import MAX_NAME_LENGTH, MAX_SLUG_LENGTH


class CopyForm(forms.Form):
    """The form for the name and slug of the new plan."""

    name = forms.CharField(
        max_length=MAX_NAME_LENGTH, validators=[validate_printable], widget=UnfoldAdminTextInputWidget
    )
    slug = forms.CharField(
        max_length=MAX_SLUG_LENGTH,
        validators=[validate_slug],
        widget=UnfoldAdminTextInputWidget(attrs={"data-proposed-from": "id_name"}),
        help_text="Identifies the plan in config file and API responses, such as “team”. Cannot be changed later.",
    )

    def __init__(self, plan: Plan, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._plan = plan

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        if Plan.objects.filter(slug=slug).exists():
            raise forms.ValidationError("A plan with this slug already exists.")
        existing = Policy.objects.filter(slug__in=[new for _, new in policy_slugs(self._plan, slug)])
        if used := sorted(existing.values_list("slug", flat=True)):
            raise forms.ValidationError(f"Policies with these slugs already exist: {', '.join(used[:5])}.")
        return slug


def copy_view(request: HttpRequest, admin_site: AdminSite, plan: Plan) -> HttpResponse:
    """Shows a form for the name, then the changes for review, and creates the copy."""
    form = CopyForm(plan, request.POST or None)
    back = reverse("admin:limits_plan_compare")
    if request.method == "POST" and EDIT_AGAIN not in request.POST and form.is_valid():
        return reviewed(
            request, admin_site, lambda: _copy(request, plan, form.cleaned_data), back=back, opts=Plan._meta
        )
    count = plan.policies.count()
    intro = [
        f"The copy contains the {count} {'policy' if count == 1 else 'policies'} of “{plan}”, with new counters. No "
        "client is on the new plan until you move clients to it."
    ]
    title = f"Copy plan “{plan}”"
    return form_page(request, admin_site, form, title=title, submit="Review", back=back, intro=intro, opts=Plan._meta)


def policy_slugs(plan: Plan, slug: str) -> Iterator[tuple[Policy, str]]:
    """Yields each policy of a plan with the slug of its copy: “pro-search” becomes “team-search”."""
    for policy in plan.policies.prefetch_related("limits").order_by("slug"):
        rest = policy.slug.removeprefix(f"{plan.slug}-")
        yield policy, f"{slug}-{rest}"[:MAX_SLUG_LENGTH]


def _copy(request: HttpRequest, plan: Plan, names: dict[str, str]) -> HttpResponse:
    new = Plan.objects.create(slug=names["slug"], name=names["name"], description=plan.description)
    for policy, slug in list(policy_slugs(plan, new.slug)):
        limits = list(policy.limits.all())
        policy.pk, policy._state.adding = None, True
        policy.slug, policy.plan = slug, new
        policy.save()
        for limit in limits:
            limit.pk, limit._state.adding, limit.policy = None, True, policy
            limit.save()
    publish_rules(request, f"Copied plan “{plan}” as “{new}”.")
    message_on_commit(request, messages.SUCCESS, f"“{new}” was created as a copy of “{plan}”.")
    return HttpResponseRedirect(reverse("admin:limits_plan_compare"))


class PlanForm(ModelForm):
    """There is always one default plan; a new default plan replaces the previous one."""

    def clean_is_default(self) -> bool:
        chosen: bool = self.cleaned_data["is_default"]
        others = Plan.objects.exclude(pk=self.instance.pk)
        if not chosen and not others.filter(is_default=True).exists():
            raise ValidationError("One plan must be the default. To change it, tick “Default plan” on another plan.")
        return chosen

    def _get_validation_exclusions(self) -> set[str]:
        """Excludes the uniqueness of the default plan: saving clears the previous one."""
        return {*super()._get_validation_exclusions(), "is_default"}  # type: ignore[misc]


@admin.register(Plan)
class PlanAdmin(HasIntroduction, WorksOnDraft, ShowsHistory, ImmutableSlugAdmin, PublishesRules, PlatformModelAdmin):
    introduction = (
        "Tiers, such as Free and Pro. Clients with neither a plan nor a parent, and unregistered clients, are on the "
        "default plan."
    )
    introduction_links = (("Compare plans", "admin:limits_plan_compare"),)
    is_reviewed = True
    form = PlanForm
    list_display = ("name", "slug", "price_note", "default", "policies")
    sortable_by = ()
    search_fields = ("name", "slug")
    fields = ("name", "slug", "price_note", "description", "is_default")
    actions_list = ("compare",)
    actions_detail = ("copy",)
    change_form_outer_before_template = "admin/limits/plan/page.html"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        plan = self.get_object(request, object_id)
        context = {"change_sets": self._planned(request, plan)} | (plan_page(plan) if plan else {})
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        moves = [
            path(
                f"<int:object_id>/move/{way}/",
                view(partial(move_view, way=way)),
                name=f"limits_plan_move_{way}",
            )
            for way in PLACES
        ]
        return [*moves, *super().get_urls()]

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """Plans are moved where the list shows them all."""
        may_move = self.has_change_permission(request) and not request.GET.get("q")
        return (*self.list_display, "order") if may_move else self.list_display

    def _planned(self, request: HttpRequest, plan: Plan | None) -> list[ShownChangeSet]:
        if plan is None or not request.user.has_perm("limits.view_changeset"):
            return []
        return [shown_change_set(change) for change in planned_for(plan)]

    @action(description="Compare plans", url_path="compare", permissions=["view"], icon="view_column")
    def compare(self, request: HttpRequest) -> HttpResponse:
        return comparison_view(request, self.admin_site)

    @action(description="Copy plan…", url_path="copy", permissions=["copy"], icon="content_copy")
    def copy(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return copy_view(request, self.admin_site, get_object_or_404(Plan, pk=object_id))

    def has_copy_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return request.user.has_perm("limits.add_plan") and request.user.has_perm("limits.add_policy")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Plan]:
        return super().get_queryset(request).annotate(policy_count=Count("policies"))

    def save_model(self, request: HttpRequest, obj: Plan, form: Any, change: bool) -> None:
        if obj.is_default:
            Plan.clear_default(Plan.objects.exclude(pk=obj.pk))
        super().save_model(request, obj, form, change)

    @display(description="Order")
    def order(self, plan: Plan) -> str:
        return render_to_string("admin/limits/plan/order.html", {"plan": plan, "ways": PLACES})

    @display(description="Default", boolean=True, ordering="is_default")
    def default(self, plan: Plan) -> bool:
        return plan.is_default

    @display(description="Policies", ordering="policy_count")
    def policies(self, plan: Plan) -> int:
        return plan.policy_count  # type: ignore[attr-defined]
