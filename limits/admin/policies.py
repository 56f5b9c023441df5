"""Policies, with their limits inline."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.utils import display_for_label

from limits.admin.base import HasIntroduction, PlatformModelAdmin
from limits.admin.comparison import ReturnsToComparison
from limits.admin.conditions import CountingForm, conditions_sentence_view
from limits.admin.drafts import WorksOnDraft, in_draft
from limits.admin.forms import ImmutableSlugAdmin
from limits.admin.limits import PolicyLimitInline, sentence_view
from limits.admin.overrides import STATE_COLOURS
from limits.admin.permissions import require_permission
from limits.admin.publishing import PublishesRules
from limits.admin.row_history import ShowsHistory
from limits.admin.shadow_report import VIEW, enforce_view, file_view, report_view
from limits.admin.time_zones import time_zones_view
from limits.domain.descriptions import dates_sentence, dates_state
from limits.models import Policy, PolicyLimit
from ratelimit_enforcer.domain.enums import Mode, OnStoreFailure, OverQuota, Partition

_MODE_COLOURS = {"enforce": "success", "shadow": "warning", "disabled": "danger"}


_CHOICES: dict[str, list[tuple[str, str]]] = {
    "mode": [
        (Mode.ENFORCE, "Enforce: deny requests over the limit"),
        (Mode.SHADOW, "Shadow: only report requests over the limit"),
        (Mode.DISABLED, "Disabled: not evaluated"),
    ],
    "partition": [
        (Partition.CLIENT, "Each client separately"),
        (Partition.GLOBAL, "All clients together, to protect the endpoint"),
    ],
    "over_quota": [
        (OverQuota.DENY, "Deny them"),
        (OverQuota.COUNT, "Admit them, and count the units beyond the quota"),
    ],
    "on_store_failure": [
        (OnStoreFailure.LOCAL, "Local: each server enforces its share of the quota"),
        (OnStoreFailure.ALLOW, "Allow: admit all requests"),
        (OnStoreFailure.DENY, "Deny: deny all requests"),
    ],
}
"""Field → its choices with explanations."""


class PolicyForm(CountingForm):
    """Choices with explanations."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in _CHOICES.keys() & self.fields.keys():
            self.fields[name].choices = [(str(value), label) for value, label in _CHOICES[name]]  # type: ignore[attr-defined]
            self.fields[name].help_text = ""


@admin.register(Policy)
class PolicyAdmin(
    ReturnsToComparison,
    HasIntroduction,
    WorksOnDraft,
    ShowsHistory,
    ImmutableSlugAdmin,
    PublishesRules,
    PlatformModelAdmin,
):
    introduction = (
        "Limits for a plan's clients on an endpoint. All policies that match a request apply, and the request must "
        "satisfy all of them."
    )
    introduction_links = (("Compare plans", "admin:limits_plan_compare"),)
    is_reviewed = True
    form = PolicyForm
    list_display = ("slug", "plan_or_every", "endpoint_or_all", "limits_text", "mode_label", "report_link", "dates")
    list_filter = ("plan", "endpoint", "mode")
    list_select_related = ("plan", "endpoint")
    search_fields = ("slug", "name", "plan__name", "endpoint__name")
    slug_from = "name"
    fieldsets = (
        (None, {"fields": ("name", "slug", ("plan", "endpoint"))}),
        ("Enforcement", {"fields": ("mode", "over_quota", "on_store_failure")}),
        ("Counting", {"fields": ("partition", "attributes", "match")}),
        ("Dates", {"fields": ("starts_at", "ends_at")}),
    )
    inlines = (PolicyLimitInline,)
    actions_detail = ("shadow_report",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("sentence/", view(sentence_view), name="limits_policy_sentence"),
            path("time-zones/", view(time_zones_view, cacheable=True), name="limits_policy_time_zones"),
            path("conditions/", view(conditions_sentence_view), name="limits_policy_conditions_sentence"),
            path("<int:object_id>/shadow-report/file/", view(self._shadow_file), name="limits_policy_shadow_file"),
            path("<int:object_id>/enforce/", in_draft(view(self._enforce)), name="limits_policy_enforce"),
            *super().get_urls(),
        ]

    @action(description="Shadow report", url_path="shadow-report", permissions=["shadow_report"], icon="monitoring")
    def shadow_report(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return report_view(request, self.admin_site, self._policy(object_id))

    def has_shadow_report_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return self.has_view_permission(request) and request.user.has_perm(VIEW)

    def _shadow_file(self, request: HttpRequest, object_id: int) -> HttpResponse:
        require_permission(request, "limits.view_policy")
        require_permission(request, VIEW)
        return file_view(request, self._policy(object_id))

    def _enforce(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return enforce_view(request, self.admin_site, self._policy(object_id))

    def _policy(self, pk: int) -> Policy:
        return get_object_or_404(Policy.objects.select_related("plan", "endpoint").prefetch_related("limits"), pk=pk)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Policy]:
        return super().get_queryset(request).prefetch_related("limits")

    def history_of_parts(self, pk: object) -> Iterable[QuerySet[Any]]:
        return [PolicyLimit.history.filter(policy_id=pk)]

    @display(description="Plan", ordering="plan__name")
    def plan_or_every(self, policy: Policy) -> str:
        return str(policy.plan) if policy.plan else "all plans"

    @display(description="Endpoint", ordering="endpoint__name")
    def endpoint_or_all(self, policy: Policy) -> str:
        return str(policy.endpoint) if policy.endpoint else "all requests"

    @display(description="Limits")
    def limits_text(self, policy: Policy) -> str:
        return policy.sentence

    @display(description="Dates", ordering="starts_at", header=True)
    def dates(self, policy: Policy) -> tuple[str, str]:
        """Returns a label, and the dates below it."""
        if not policy.is_dated:
            return "", ""
        state = dates_state(policy.starts_at, policy.ends_at, timezone.now())
        return display_for_label(state, "", STATE_COLOURS), dates_sentence(policy.starts_at, policy.ends_at)

    @display(description="Report")
    def report_link(self, policy: Policy) -> str:
        """Returns a link to the report of a policy in shadow mode."""
        if policy.mode != Mode.SHADOW:
            return ""
        url = reverse("admin:limits_policy_shadow_report", args=[policy.pk])
        return format_html('<a class="rl-link" href="{}">Shadow report</a>', url)

    @display(description="Mode", ordering="mode", label=_MODE_COLOURS)
    def mode_label(self, policy: Policy) -> str:
        return policy.mode
