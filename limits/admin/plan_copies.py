"""Copying a plan, with all of its policies."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.widgets import UnfoldAdminTextInputWidget

from limits.admin.form_page import form_page
from limits.admin.publishing import publish_rules
from limits.admin.review import EDIT_AGAIN, reviewed
from limits.domain.validation import MAX_NAME_LENGTH, MAX_SLUG_LENGTH
from limits.models import Plan, Policy
from limits.models.fields import validate_printable, validate_slug


class CopyForm(forms.Form):
    """The new plan's names."""

    name = forms.CharField(
        max_length=MAX_NAME_LENGTH, validators=[validate_printable], widget=UnfoldAdminTextInputWidget
    )
    slug = forms.CharField(
        max_length=MAX_SLUG_LENGTH,
        validators=[validate_slug],
        widget=UnfoldAdminTextInputWidget,
        help_text="Names the plan in the config file and in answers, such as “team”. It cannot be changed later.",
    )

    def __init__(self, plan: Plan, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._plan = plan

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        if Plan.objects.filter(slug=slug).exists():
            raise forms.ValidationError("There is a plan of this slug already.")
        taken = Policy.objects.filter(slug__in=[new for _, new in policy_slugs(self._plan, slug)])
        if used := sorted(taken.values_list("slug", flat=True)):
            raise forms.ValidationError(f"Its policies would be named as others are already: {', '.join(used[:5])}.")
        return slug


def copy_view(request: HttpRequest, admin_site: AdminSite, plan: Plan) -> HttpResponse:
    """Asks for names, shows what will be added, adds it."""
    form = CopyForm(plan, request.POST or None)
    back = reverse("admin:limits_plan_compare")
    if request.method == "POST" and EDIT_AGAIN not in request.POST and form.is_valid():
        return reviewed(
            request, admin_site, lambda: _copy(request, plan, form.cleaned_data), back=back, opts=Plan._meta
        )
    count = plan.policies.count()
    intro = [
        f"The copy begins with the {count} {'policy' if count == 1 else 'policies'} of “{plan}”; each counts anew. "
        "Nobody is on it until you put clients there."
    ]
    title = f"Copy the plan “{plan}”"
    return form_page(request, admin_site, form, title=title, submit="Review", back=back, intro=intro, opts=Plan._meta)


def policy_slugs(plan: Plan, slug: str) -> Iterator[tuple[Policy, str]]:
    """Each policy of a plan with the slug of its copy: “pro-search” becomes “team-search”."""
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
    messages.success(request, f"“{new}” is a copy of “{plan}” now.")
    return HttpResponseRedirect(reverse("admin:limits_plan_compare"))
