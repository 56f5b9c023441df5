"""Limits, inline in their policy or override."""

import re
from typing import Any

from django.core.exceptions import ValidationError
from django.forms import BaseInlineFormSet, MultiWidget
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from unfold.admin import StackedInline
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from limits.admin.forms import InlineRow, label_inputs
from limits.admin.time_zones import TimeZoneField
from limits.domain.descriptions import limit_meaning, limit_sentence
from limits.models import OverrideLimit, PolicyLimit, SegmentOverrideLimit
from ratelimit_enforcer.domain.enums import Algorithm, OverQuota
from ratelimit_enforcer.domain.limit import MAX_WINDOW_SECONDS, Limit
from ratelimit_enforcer.domain.validation import NEEDS_CALENDAR_LIMIT, ONE_CONCURRENCY_LIMIT, capitalized

_UNITS = {1: "seconds", 60: "minutes", 3_600: "hours", 86_400: "days", 604_800: "weeks"}
_MINUTES = 60
_WHOLE_NUMBER = re.compile("[0-9]{1,18}")

_ALGORITHM_LABELS = {
    Algorithm.SLIDING_WINDOW: "Sliding window: never more than the quota in any period",
    Algorithm.TOKEN_BUCKET: "Token bucket: steady refill, allows bursts after a pause",
    Algorithm.FIXED_WINDOW: "Fixed window: resets at each full minute, hour, …",
    Algorithm.CALENDAR: "Calendar: per hour, day, week, month or year in a time zone",
    Algorithm.CONCURRENCY: "Concurrency: requests in progress at the same time",
}


class LimitFormSet(BaseInlineFormSet):
    """Requires at least one limit, and only one for each algorithm and window."""

    def clean(self) -> None:
        super().clean()
        labels: set[str] = set()
        rows = [form for form in self.forms if _is_row(self, form)]
        if self.is_bound and not rows and not any(self.errors):
            raise ValidationError("Add at least one limit.")
        if rows and _needs_calendar_limit(self) and not any(form.instance.period for form in rows):
            raise ValidationError(f"Over quota {NEEDS_CALENDAR_LIMIT}")
        for form in rows:
            limit = form.instance.as_domain()
            if limit.label in labels:
                form.add_error(*_same_name(limit))
            labels.add(limit.label)

    def save_new(self, form: Any, commit: bool = True) -> Any:
        form.instance.position = self.forms.index(form)
        return super().save_new(form, commit)


def _needs_calendar_limit(formset: Any) -> bool:
    """Whether the limits are those of a policy that admits beyond its quota."""
    return getattr(formset.instance, "over_quota", OverQuota.DENY) == OverQuota.COUNT


def _same_name(limit: Limit) -> tuple[str, str]:
    """Returns the field and the message for a limit whose name another one has."""
    if limit.algorithm is Algorithm.CONCURRENCY:
        return "algorithm", capitalized(ONE_CONCURRENCY_LIMIT)
    return "window", f"Another limit is already named “{limit.label}”."


def _is_row(formset: Any, form: Any) -> bool:
    """Whether a row of the form is filled in, valid and not to be deleted."""
    deleted = formset.can_delete and formset._should_delete_form(form)
    return bool(form.has_changed() or form.instance.pk) and not deleted and form.is_valid()


class WindowWidget(MultiWidget):
    """A duration in seconds as a number and a unit: 600 is “10 minutes”."""

    template_name = "limits/widgets/window.html"

    def __init__(self) -> None:
        number = UnfoldAdminTextInputWidget({"aria-label": "Window: number", "inputmode": "numeric"})
        unit = UnfoldAdminSelectWidget({"aria-label": "Window: unit"}, list(_UNITS.items()))
        super().__init__((number, unit))

    def decompress(self, value: Any) -> list[Any]:
        if not _WHOLE_NUMBER.fullmatch(str(value or "")):
            return [value, _MINUTES]
        unit = max(unit for unit in _UNITS if int(value) % unit == 0)
        return [int(value) // unit, unit]

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        number, unit = super().value_from_datadict(data, files, name)
        try:
            return str(int(number) * int(unit))
        except (TypeError, ValueError):
            return number


class LimitForm(InlineRow):
    """A limit, with a unit for the window and a short explanation for each algorithm."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["quota"].widget.attrs["data-sentence-url"] = reverse("admin:limits_policy_sentence")
        self.fields["window"].widget = WindowWidget()
        label_inputs(self.fields["window"])
        self.fields[
            "window"
        ].help_text = "The period that the quota applies to; of a concurrency limit, the longest duration of a request."
        self._require_a_window()
        self.fields["algorithm"].choices = [(algorithm.value, label) for algorithm, label in _ALGORITHM_LABELS.items()]  # type: ignore[attr-defined]
        self.fields["algorithm"].help_text = ""
        self.fields["burst"].help_text = "The largest burst after a pause. Empty: the quota."
        self.fields["timezone"] = TimeZoneField(
            required=False, label="Time zone", help_text="Such as Europe/Berlin. Empty: UTC."
        )

    def _require_a_window(self) -> None:
        """Every limit needs a window except a calendar limit, whose form does not show the field."""
        field = self.fields["window"]
        algorithm = self.data.get(self.add_prefix("algorithm"))
        field.required = algorithm != Algorithm.CALENDAR
        what = "longest duration of a request" if algorithm == Algorithm.CONCURRENCY else "length of the window"
        field.error_messages["required"] = f"Enter the {what}, such as 1 minute."
        field.validators = [_validate_window]

    def _update_errors(self, errors: ValidationError) -> None:
        """A field that already has an error needs no second error for being empty."""
        for name in getattr(errors, "error_dict", {}).keys() & self.errors.keys():
            del errors.error_dict[name]
        super()._update_errors(errors)  # type: ignore[misc]


def _validate_window(seconds: int) -> None:
    if not 1 <= seconds <= MAX_WINDOW_SECONDS:
        raise ValidationError("Must be between 1 second and 366 days.")


class _LimitInline(StackedInline):
    form = LimitForm
    formset = LimitFormSet
    fields = ("quota", "window", "algorithm", "burst", ("period", "timezone"))
    extra = 0
    min_num = 1
    verbose_name = "limit"
    verbose_name_plural = "limits: a request must satisfy all of them"

    class Media:
        js = ["limits/limits_form.js"]


class PolicyLimitInline(_LimitInline):
    model = PolicyLimit


class OverrideLimitInline(_LimitInline):
    model = OverrideLimit


class SegmentOverrideLimitInline(_LimitInline):
    model = SegmentOverrideLimit


class _LimitBeingTyped(LimitForm):
    class Meta:
        model = PolicyLimit
        fields = ("quota", "window", "algorithm", "burst", "period", "timezone")


def sentence_view(request: HttpRequest) -> HttpResponse:
    """Returns the meaning of the limit being typed as JSON: ``sentence`` and ``meaning``, or ``problem``."""
    form = _LimitBeingTyped(request.GET)
    if not form.is_valid():
        problem = next(str(error) for errors in form.errors.values() for error in errors)
        return JsonResponse({"problem": problem})
    limit = form.instance.as_domain()
    sentence = limit_sentence(limit)
    return JsonResponse({"sentence": capitalized(sentence) + ".", "meaning": limit_meaning(limit)})
