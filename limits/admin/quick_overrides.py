"""A temporary override in two clicks: “+50 % until Sunday”."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from limits.admin.forms import form_page, reason_field
from limits.admin.permissions import require_permission
from limits.admin.publishing import publish_clients
from limits.domain.descriptions import limits_sentence
from limits.models import Client, Override, OverrideLimit, Policy, PolicyLimit
from limits.models.clients import active_between
from limits.models.history import change_reason
from ratelimit_enforcer.domain.dates import date_and_time, microseconds
from ratelimit_enforcer.domain.enums import Mode, Partition
from ratelimit_enforcer.domain.limit import MAX_BURST, Limit, max_quota
from ratelimit_enforcer.domain.rules import limit_to_json
from ratelimit_enforcer.domain.segments import SegmentOverrides

PERCENT = {
    "150": "+50 %",
    "200": "2 times the limits",
    "500": "5 times the limits",
    "1000": "10 times the limits",
}
UNTIL = {
    "day": "For 24 hours",
    "sunday": "Until the end of Sunday",
    "month": "Until the end of the month",
    "date": "Until the last day below",
    "": "No end",
}


class QuickOverrideForm(forms.Form):
    """The form for the percentage, the policy, the end and the reason."""

    policy = forms.ModelChoiceField(
        Policy.objects.none(), label="Policy", to_field_name="slug", widget=UnfoldAdminSelectWidget
    )
    percent = forms.ChoiceField(choices=list(PERCENT.items()), label="Increase", widget=UnfoldAdminSelectWidget)
    until = forms.ChoiceField(
        choices=list(UNTIL.items()), label="Duration", required=False, widget=UnfoldAdminSelectWidget
    )
    last_day = forms.DateField(
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
        help_text="Only for “Until the last day below”. Days end at midnight UTC.",
    )
    why = reason_field("Christmas sale; agreed with the account manager.")

    def __init__(self, client: Client, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.client = client
        field: Any = self.fields["policy"]
        field.queryset = raisable(client, timezone.now())
        field.error_messages["invalid_choice"] = (
            "Choose one of the listed policies. A policy with a current override is not listed: change or end that "
            "override instead."
        )
        field.label_from_instance = lambda policy: f"{_scope(policy)}: {limits_sentence(limits_of(client, policy))}"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("until") == "date" and not cleaned.get("last_day"):
            self.add_error("last_day", "Enter the last day.")
        elif not self.errors:
            cleaned["ends_at"] = end_of(cleaned["until"], cleaned["last_day"], timezone.now())
            self._reject_invalid_times(cleaned["policy"], cleaned["ends_at"])
        return cleaned

    def _reject_invalid_times(self, policy: Policy, ends_at: datetime | None) -> None:
        now = timezone.now()
        if ends_at and ends_at <= now:
            self.add_error("last_day", "This day is in the past.")
        if other := self.client.overrides.filter(active_between(now, ends_at), policy=policy).first():
            self.add_error("policy", f"An override already exists, {_times(other)}. Change or end it instead.")


def policies_of(client: Client) -> QuerySet[Policy]:
    """Returns the client's own policies that count it separately: not those of its ancestors."""
    plan = client.plan_in_effect
    rows = Policy.objects.filter(Q(plan=plan) | Q(plan=None), partition=Partition.CLIENT.value)
    rows = rows.exclude(mode=Mode.DISABLED.value).select_related("endpoint")
    return rows.prefetch_related("limits", "segment_overrides__limits", "segment_overrides__plan")


def limits_of(client: Client, policy: Policy) -> tuple[Limit, ...]:
    """Returns the limits that a policy from :func:`policies_of` has for the client now, unless the client has an
    override: those of the client's segment, or of the policy."""
    plan = client.plan_in_effect
    overrides = SegmentOverrides(row.as_domain() for row in policy.segment_overrides.all())
    matching = overrides.of(client.key, client.tags, plan.slug if plan else None)
    now = microseconds(timezone.now())
    in_force = next((override.limits for override in matching if override.is_active(now)), None)
    return in_force or tuple(limit.as_domain() for limit in policy.limits.all())


def raisable(client: Client, until: datetime) -> QuerySet[Policy]:
    """Returns those policies that can be raised from now ``until`` then: they have no override in that
    period, and a quota above 0."""
    now = timezone.now()
    overlapping = client.overrides.filter(active_between(now, max(until, now + timedelta(microseconds=1))))
    with_a_quota = PolicyLimit.objects.filter(quota__gt=0).values("policy")
    return policies_of(client).filter(pk__in=with_a_quota).exclude(pk__in=overlapping.values("policy"))


def quick_override_view(request: HttpRequest, admin_site: AdminSite, client: Client) -> HttpResponse:
    """Shows the form, filled in with the usual values, and creates the override."""
    require_permission(request, "limits.add_override")
    usual = {"percent": "150", "until": "sunday"}
    form = QuickOverrideForm(client, request.POST or None, initial=usual | request.GET.dict())
    back = reverse("admin:limits_client_change", args=[client.pk])
    if request.method == "POST" and form.is_valid():
        _create_override(request, form)
        return HttpResponseRedirect(back)
    intro = ["Takes effect immediately and ends automatically. Other clients on the plan are not affected."]
    title = f"Raise limits of “{client}” temporarily"
    return form_page(request, admin_site, form, title=title, intro=intro, submit="Apply", back=back, opts=Client._meta)


def end_of(until: str, last_day: Any, now: datetime) -> datetime | None:
    """Returns the end of an override that begins ``now``; days end at midnight UTC. None: it does not end."""
    today = now.astimezone(UTC).date()
    if until == "day":
        return now + timedelta(days=1)
    if until == "sunday":
        last_day = today + timedelta(days=6 - today.weekday())
    elif until == "month":
        last_day = (today.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    elif until != "date":
        return None
    return datetime.combine(last_day + timedelta(days=1), time(0), UTC)


def scaled(limits: Iterable[Limit], percent: int) -> list[Limit]:
    """Returns the limits scaled to ``percent`` percent, rounded up."""

    def times(number: int, most: int) -> int:
        return min(most, -(-number * percent // 100))

    return [
        replace(
            limit,
            quota=times(limit.quota, max_quota(limit.algorithm)),
            burst=None if limit.burst is None else times(limit.burst, MAX_BURST),
        )
        for limit in limits
    ]


@transaction.atomic
def _create_override(request: HttpRequest, form: QuickOverrideForm) -> None:
    given, client = form.cleaned_data, form.client
    limits = scaled(limits_of(client, given["policy"]), int(given["percent"]))
    with change_reason(given["why"]):
        override = Override.objects.create(
            client=client,
            policy=given["policy"],
            starts_at=timezone.now(),
            ends_at=given["ends_at"],
            reason=given["why"],
            created_by=request.user,  # type: ignore[misc]
        )
        for at, limit in enumerate(limits):
            OverrideLimit.objects.create(override=override, position=at, **limit_to_json(limit))
    messages.success(
        request, f"{client} now has {limits_sentence(limits)} on {_scope(given['policy'])}, {_times(override)}."
    )
    publish_clients(request, [client.key])


def _scope(policy: Policy) -> str:
    return str(policy.endpoint) if policy.endpoint else "all requests together"


def _times(override: Override) -> str:
    if override.ends_at is None:
        return "with no end"
    return f"until {override.ends_at:%A}, {date_and_time(override.ends_at)}"
