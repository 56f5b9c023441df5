"""The form of an alert rule: durations in minutes, the fields that the metric uses, and a sentence that follows the
form. Without JavaScript all fields are shown."""

import json
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.urls import reverse
from unfold.widgets import UnfoldAdminTextInputWidget

from limits.domain.alert_rule_words import UNUSED_FIELDS, notification_sentence
from limits.domain.alert_rules import MAX_COOLDOWN, MAX_WINDOW, SECONDS_PER_MINUTE
from ratelimit_enforcer.domain.enums import AlertMetric
from ratelimit_enforcer.domain.validation import capitalized

_THRESHOLD_OF_PLATFORM = 1.0


class MinutesWidget(forms.MultiWidget):
    """A duration in seconds, entered in minutes: 600 is “10”, 90 is “1.5”."""

    def __init__(self, label: str) -> None:
        super().__init__([UnfoldAdminTextInputWidget({"aria-label": label, "inputmode": "decimal"})])

    def decompress(self, value: Any) -> list[Any]:
        return [f"{value / SECONDS_PER_MINUTE:g}" if isinstance(value, int) else value]

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        (minutes,) = super().value_from_datadict(data, files, name)
        try:
            return str(round(float(minutes) * SECONDS_PER_MINUTE))
        except (TypeError, ValueError, OverflowError):
            return minutes


class MinutesField(forms.IntegerField):
    """A duration in seconds, entered in minutes. ``problem``: the message for every value that is not one of
    ``allowed``."""

    def __init__(self, label: str, *, allowed: range, problem: str, **options: Any) -> None:
        self._allowed, self._problem = allowed, problem
        super().__init__(
            label=label,
            widget=MinutesWidget(label),
            error_messages={"invalid": "Enter a number of minutes."},
            **options,
        )

    def validate(self, value: Any) -> None:
        super().validate(value)
        if value is not None and value not in self._allowed:
            raise forms.ValidationError(self._problem)


class AlertRuleFields(forms.ModelForm):
    """Fields that the metric does not use are hidden, and not submitted: they have the value that they have without
    the metric's condition."""

    window = MinutesField(
        "Window in minutes",
        allowed=range(SECONDS_PER_MINUTE, MAX_WINDOW + 1, SECONDS_PER_MINUTE),
        problem="Must be whole minutes, from 1 to 1,440 (a multiple of 60 seconds).",
        help_text="Whole minutes, from 1 to 1,440.",
        initial=SECONDS_PER_MINUTE,
        required=False,
    )
    cooldown = MinutesField(
        "Cooldown in minutes",
        allowed=range(MAX_COOLDOWN + 1),
        problem=f"Must be at most 43,200 minutes (between 0 and {MAX_COOLDOWN:,} seconds).",
        help_text="Minimum time between two notifications about the same subject.",
        initial=600,
    )

    class Media:
        js = ["limits/live_sentence.js", "limits/alert_rule_form.js"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "metric" not in self.fields:
            return
        self.fields["metric"].widget.attrs |= {
            "data-sentence-url": reverse("admin:limits_alertrule_sentence"),
            "data-unused-fields": json.dumps({metric.value: fields for metric, fields in UNUSED_FIELDS.items()}),
        }
        for name in ("threshold", "min_requests"):
            self.fields[name].required = False

    def clean(self) -> dict[str, Any]:
        """Fills in what a browser does not submit because the metric does not use it."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        self._fill_in("min_requests", 1, cleaned)
        self._fill_in("window", SECONDS_PER_MINUTE, cleaned)
        if cleaned.get("metric") == AlertMetric.PLATFORM:
            self._fill_in("threshold", _THRESHOLD_OF_PLATFORM, cleaned)
        elif "threshold" in cleaned and cleaned["threshold"] is None:
            self.add_error("threshold", "This field is required.")
        return cleaned

    def _fill_in(self, name: str, value: float, cleaned: dict[str, Any]) -> None:
        if name in cleaned and cleaned[name] is None:
            cleaned[name] = value


def sentence_view(request: HttpRequest, form: type[forms.ModelForm]) -> HttpResponse:
    """Returns the rule that is being typed as JSON: ``sentence``, or ``problem`` with the errors that saving it would
    show. A name is not needed yet."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    typed = form(request.POST)
    wrong = {name: errors for name, errors in typed.errors.items() if name != "name"}
    if problems := [f"{_label(typed, name)}{error}" for name, errors in wrong.items() for error in errors]:
        return JsonResponse({"problem": " ".join(problems)})
    return JsonResponse({"sentence": notification_sentence(typed.instance.as_domain())})


def _label(form: forms.ModelForm, name: str) -> str:
    return f"{capitalized(str(form[name].label))}: " if name in form.fields else ""


def require_add_or_change(admin: Any, request: HttpRequest) -> None:
    """Raises ``PermissionDenied`` for users who may not edit a rule."""
    if not (admin.has_add_permission(request) or admin.has_change_permission(request)):
        raise PermissionDenied
