"""An override in two clicks: “half as much again until Sunday”."""

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

from limits.admin.form_page import form_page, reason_field
from limits.admin.permissions import require
from limits.admin.publishing import publish_clients
from limits.domain.limit import MAX_BURST, MAX_QUOTA, Limit
from limits.domain.ruleset import limit_to_json
from limits.domain.wording import limits_sentence
from limits.domain.words import Mode, Partition
from limits.models import Client, Override, OverrideLimit, Plan, Policy, PolicyLimit
from limits.models.history import because
from limits.models.overrides import active_between

PERCENT = {
    "150": "half as much again (+50 %)",
    "200": "twice as much",
    "500": "five times as much",
    "1000": "ten times",
}
UNTIL = {
    "day": "for 24 hours",
    "sunday": "until Sunday night",
    "month": "until the end of the month",
    "date": "until the day below",
    "": "until somebody removes it",
}


class QuickOverrideForm(forms.Form):
    """How much more, of which limits, until when and why."""

    policy = forms.ModelChoiceField(
        Policy.objects.none(), label="Of which limits", to_field_name="slug", widget=UnfoldAdminSelectWidget
    )
    percent = forms.ChoiceField(choices=list(PERCENT.items()), label="How much", widget=UnfoldAdminSelectWidget)
    until = forms.ChoiceField(
        choices=list(UNTIL.items()), label="How long", required=False, widget=UnfoldAdminSelectWidget
    )
    last_day = forms.DateField(
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
        help_text="The last day on which it holds, only for “until the day below”. Days end at midnight UTC.",
    )
    why = reason_field("Christmas sale; agreed with their account manager.")

    def __init__(self, client: Client, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.client = client
        field: Any = self.fields["policy"]
        field.queryset = raisable(client, timezone.now())
        field.error_messages["invalid_choice"] = (
            "Choose one of these limits. Those that have an override now are not among them: change or end that one."
        )
        field.label_from_instance = _described

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("until") == "date" and not cleaned.get("last_day"):
            self.add_error("last_day", "Which day is its last?")
        elif not self.errors:
            cleaned["ends_at"] = end_of(cleaned["until"], cleaned["last_day"], timezone.now())
            self._refuse_wrong_times(cleaned["policy"], cleaned["ends_at"])
        return cleaned

    def _refuse_wrong_times(self, policy: Policy, ends_at: datetime | None) -> None:
        now = timezone.now()
        if ends_at and ends_at <= now:
            self.add_error("last_day", "That day is over.")
        if other := self.client.overrides.filter(active_between(now, ends_at), policy=policy).first():
            self.add_error("policy", f"There is an override of it already, {_times(other)}. Change or end that one.")


def policies_of(client: Client) -> QuerySet[Policy]:
    """The policies that count this client by itself."""
    plan = client.plan or Plan.objects.filter(is_default=True).first()
    rows = Policy.objects.filter(Q(plan=plan) | Q(plan=None), partition=Partition.CLIENT.value)
    return rows.exclude(mode=Mode.DISABLED.value).select_related("endpoint").prefetch_related("limits")


def raisable(client: Client, until: datetime) -> QuerySet[Policy]:
    """Those of them that can have more from now ``until`` then: they have no override in that time, and
    admit something that can be multiplied."""
    now = timezone.now()
    taken = client.overrides.filter(active_between(now, max(until, now + timedelta(microseconds=1))))
    with_a_quota = PolicyLimit.objects.filter(quota__gt=0).values("policy")
    return policies_of(client).filter(pk__in=with_a_quota).exclude(pk__in=taken.values("policy"))


def quick_override_view(request: HttpRequest, admin_site: AdminSite, client: Client) -> HttpResponse:
    """Asks, with the usual answers filled in, and gives it."""
    require(request, "limits.add_override")
    usual = {"percent": "150", "until": "sunday"}
    form = QuickOverrideForm(client, request.POST or None, initial=usual | request.GET.dict())
    back = reverse("admin:limits_client_change", args=[client.pk])
    if request.method == "POST" and form.is_valid():
        _give(request, form)
        return HttpResponseRedirect(back)
    intro = ["It begins now, and ends by itself. What the plan says for everybody else stays as it is."]
    title = f"More for “{client}” for a time"
    return form_page(
        request, admin_site, form, title=title, intro=intro, submit="Give it", back=back, opts=Client._meta
    )


def end_of(until: str, last_day: Any, now: datetime) -> datetime | None:
    """When an override ends that begins ``now``; days end at midnight UTC. None: it does not."""
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
    """Limits of so many percent of these, rounded up."""

    def times(number: int, most: int) -> int:
        return min(most, -(-number * percent // 100))

    return [
        replace(
            limit,
            quota=times(limit.quota, MAX_QUOTA),
            burst=None if limit.burst is None else times(limit.burst, MAX_BURST),
        )
        for limit in limits
    ]


@transaction.atomic
def _give(request: HttpRequest, form: QuickOverrideForm) -> None:
    given, client = form.cleaned_data, form.client
    limits = scaled((limit.as_domain() for limit in given["policy"].limits.all()), int(given["percent"]))
    with because(given["why"]):
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
        request, f"{client} has {limits_sentence(limits)} on {_where(given['policy'])}, {_times(override)}."
    )
    publish_clients(request, [client.key])


def _described(policy: Policy) -> str:
    return f"{_where(policy)}: {policy.sentence}"


def _where(policy: Policy) -> str:
    return str(policy.endpoint) if policy.endpoint else "all requests together"


def _times(override: Override) -> str:
    if override.ends_at is None:
        return "without an end"
    return f"until {override.ends_at:%A %-d %B, %H:%M} UTC"
