"""The forms of change sets: name and reason, times, and shares of the clients."""

import hashlib
import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from unfold.widgets import UnfoldAdminSplitDateTimeWidget, UnfoldAdminTextInputWidget

from limits.admin.forms import DateAndOptionalTime, TagsInput, label_inputs, reason_field
from limits.models import ChangeSet
from limits.models.fields import validate_tags
from ratelimit_enforcer.domain.validation import MAX_SLUG_LENGTH


class ChangeSetForm(forms.ModelForm):
    """The name and the reason."""

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        unfinished = ChangeSet.objects.filter(name=name, state__in=ChangeSet.UNFINISHED)
        if unfinished.exclude(pk=self.instance.pk).exists():
            raise ValidationError("An unfinished change set has this name.")
        return name


def seen_of(change: ChangeSet) -> str:
    """A digest of what a user saw of a change set, to be sent with every decision about it."""
    return hashlib.sha256(json.dumps([change.edits, change.reason], sort_keys=True).encode()).hexdigest()


class StepForm(forms.Form):
    """The base of forms for a step: asks for the reason if the change set has none."""

    seen = forms.CharField(widget=forms.HiddenInput, required=False)
    why = reason_field("Black Friday: twice the search limits.")

    def __init__(self, change: ChangeSet, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["seen"] = seen_of(change)
        if change.reason:
            del self.fields["why"]
        for field in self.fields.values():
            label_inputs(field)

    def add_problems(self, error: ValidationError) -> None:
        """Adds a refusal to its field."""
        if not hasattr(error, "error_dict"):
            self.add_error(None, error)
            return
        for field, problems in error.error_dict.items():
            self.add_error(field if field in self.fields else None, problems)


class PublishForm(StepForm):
    """Publishing for all clients, at once."""


class DiscardForm(StepForm):
    """Ends a draft, without a reason."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("why", None)


def _moment(label: str, **options: Any) -> DateAndOptionalTime:
    return DateAndOptionalTime(label=label, widget=UnfoldAdminSplitDateTimeWidget, **options)


class ScheduleForm(StepForm):
    """When the change begins and ends."""

    publish_at = _moment("Publish at")
    revert_at = _moment("Revert at", required=False, help_text="Empty: no end.")

    field_order = ("publish_at", "revert_at", "why")


def _percent(label: str, maximum: int, help_text: str) -> forms.IntegerField:
    return forms.IntegerField(
        label=label,
        required=False,
        validators=[MinValueValidator(1), MaxValueValidator(maximum)],
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
        help_text=help_text,
    )


class ShareForm(StepForm):
    """For whom the change is tried, and when it is withdrawn."""

    percent = _percent("Share of clients", 99, "Percent of all clients without a parent, with the clients below them.")
    tag = forms.CharField(
        label="Tag",
        required=False,
        max_length=MAX_SLUG_LENGTH,
        widget=TagsInput,
        help_text="Clients with this tag, instead of a share.",
    )
    max_denial_rate = _percent(
        "Withdraw above",
        100,
        "Percent of denied requests of these clients at which the change set is withdrawn automatically. Empty: never.",
    )

    field_order = ("percent", "tag", "max_denial_rate", "why")

    def __init__(self, change: ChangeSet, *args: Any, **kwargs: Any) -> None:
        super().__init__(change, *args, **kwargs)
        self.initial.update({name: getattr(change, name) for name in ("percent", "tag", "max_denial_rate")})

    def clean_tag(self) -> str:
        tag: str = self.cleaned_data["tag"].lower()
        validate_tags([tag] if tag else [])
        return tag

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and bool(cleaned.get("percent")) == bool(cleaned.get("tag")):
            self.add_error("percent", "Enter either a share of the clients or a tag.")
        return cleaned
