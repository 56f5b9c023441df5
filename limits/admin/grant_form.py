"""The form of a grant, and its effect in words."""

from typing import Any

from django.forms import ModelForm
from django.utils import timezone

from limits.domain.descriptions import limit_sentence
from limits.models import Client, Grant, Policy
from limits.models.grants import GRANTABLE
from ratelimit_enforcer.domain.dates import date_and_time
from ratelimit_enforcer.domain.enums import Algorithm, Period
from ratelimit_enforcer.domain.limit import Limit

_PERIODS = list(Period)
"""From the shortest to the longest."""


class GrantForm(ModelForm):
    """Offers only policies that can have grants, and rejects a new grant that is over already."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "policy" in self.fields:
            field: Any = self.fields["policy"]
            field.queryset = Policy.objects.filter(GRANTABLE).distinct()
        if "starts_at" in self.fields:
            self.fields["starts_at"].required = False
            self.initial.pop("starts_at", None)
            self.fields["starts_at"].help_text = "Empty: immediately. A date without a time is midnight UTC."

    def clean_starts_at(self) -> Any:
        return self.cleaned_data["starts_at"] or timezone.now()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        ends_at = cleaned.get("ends_at")
        if ends_at and "ends_at" in self.changed_data and ends_at <= timezone.now():
            self.add_error("ends_at", "The end is in the past. To stop a grant, end it.")
        return cleaned


def extended_limit(policy: Policy) -> Limit | None:
    """The limit that grants of a policy extend: its calendar limit with the longest period; None: it has none."""
    limits = {limit.period: limit.as_domain() for limit in policy.limits.all() if limit.algorithm == Algorithm.CALENDAR}
    return next((limits[period] for period in reversed(_PERIODS) if period in limits), None)


def effect(grant: Grant) -> str:
    """What a grant does, in words; empty while its fields are incomplete."""
    policy = Policy.objects.filter(pk=grant.policy_id).prefetch_related("limits").first()
    client = Client.objects.filter(pk=grant.client_id).first()
    limit = extended_limit(policy) if policy else None
    if policy is None or client is None or limit is None or not grant.amount or not grant.ends_at:
        return ""
    start = f"from {date_and_time(grant.starts_at)} " if grant.starts_at > timezone.now() else ""
    whom = f"{client} and all clients below it" if client.children.exists() else f"{client}"
    return (
        f"{whom}: {grant.amount:,} more of “{policy}” {start}until {date_and_time(grant.ends_at)}, after the "
        f"{limit.period}'s own quota is used ({limit_sentence(limit)}). What is not used remains available in the next "
        f"{limit.period}, until the grant ends."
    )
