"""Limits, inline in their policy or override, in the units that people think in."""

import re
from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.forms import BaseInlineFormSet, MultiWidget
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from unfold.admin import StackedInline
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from limits.admin.inline_rows import InlineRow, labelled_as_one
from limits.domain.calendar import DEFAULT_TIMEZONE, timezones
from limits.domain.limit import MAX_WINDOW_SECONDS
from limits.domain.wording import limit_meaning, limit_sentence
from limits.domain.words import Algorithm
from limits.models import OverrideLimit, PolicyLimit

_UNITS = {1: "seconds", 60: "minutes", 3_600: "hours", 86_400: "days", 604_800: "weeks"}
_MINUTES = 60
_WHOLE = re.compile("[0-9]{1,18}")

_ALGORITHMS = {
    Algorithm.SLIDING_WINDOW: "rolling window: never more than the quota in any stretch",
    Algorithm.TOKEN_BUCKET: "steady refill: bursts go through after a pause",
    Algorithm.FIXED_WINDOW: "on the clock: begins anew at each full minute, hour, …",
    Algorithm.CALENDAR: "calendar: per hour, day, week or month of a time zone",
}


class LimitFormSet(BaseInlineFormSet):
    """At least one limit, and one for each algorithm and window."""

    def clean(self) -> None:
        super().clean()
        labels: set[str] = set()
        kept = [form for form in self.forms if _is_kept(self, form)]
        if self.is_bound and not kept and not any(self.errors):
            raise ValidationError("At least one limit is needed.")
        for form in kept:
            label = form.instance.as_domain().label
            if label in labels:
                form.add_error("window", f"Another limit is named “{label}” already.")
            labels.add(label)

    def save_new(self, form: Any, commit: bool = True) -> Any:
        form.instance.position = self.forms.index(form)
        return super().save_new(form, commit)


def _is_kept(formset: Any, form: Any) -> bool:
    """Whether a row of the form is filled in, valid and not to be deleted."""
    deleted = formset.can_delete and formset._should_delete_form(form)
    return bool(form.has_changed() or form.instance.pk) and not deleted and form.is_valid()


class WindowWidget(MultiWidget):
    """Seconds, as a number and a unit: 600 is “10 minutes”."""

    template_name = "limits/widgets/window.html"

    def __init__(self) -> None:
        number = UnfoldAdminTextInputWidget({"aria-label": "Window: how many", "inputmode": "numeric"})
        unit = UnfoldAdminSelectWidget({"aria-label": "Window: of what"}, list(_UNITS.items()))
        super().__init__((number, unit))

    def decompress(self, value: Any) -> list[Any]:
        if not _WHOLE.fullmatch(str(value or "")):
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
    """A limit in words that people know, with the time zones of this machine to choose from."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["quota"].widget.attrs["data-sentence-url"] = reverse("admin:limits_policy_sentence")
        self.fields["window"].widget = WindowWidget()
        labelled_as_one(self.fields["window"])
        self.fields["window"].help_text = "How long a stretch of time the quota is for."
        self._require_a_window()
        self.fields["algorithm"].choices = [(word.value, label) for word, label in _ALGORITHMS.items()]  # type: ignore[attr-defined]
        self.fields["algorithm"].label = "Counts"
        self.fields["algorithm"].help_text = ""
        self.fields["burst"].help_text = "How much can be used at once after a pause. Empty: as much as the quota."
        names = timezones() | {self.instance.timezone or DEFAULT_TIMEZONE}
        zones = [("", f"{DEFAULT_TIMEZONE} or none"), *_choices(names)]
        self.fields["timezone"].widget = UnfoldAdminSelectWidget(choices=zones)

    def _require_a_window(self) -> None:
        """Every limit has one but a calendar limit, whose page does not show it."""
        field = self.fields["window"]
        field.required = self.data.get(self.add_prefix("algorithm")) != Algorithm.CALENDAR
        field.error_messages["required"] = "Say how long the window is, such as 1 minute."
        field.validators = [_validate_window]

    def _update_errors(self, errors: ValidationError) -> None:
        """What is wrong with a field already needs no second sentence about its being empty."""
        for name in getattr(errors, "error_dict", {}).keys() & self.errors.keys():
            del errors.error_dict[name]
        super()._update_errors(errors)  # type: ignore[misc]


def _validate_window(seconds: int) -> None:
    if not 1 <= seconds <= MAX_WINDOW_SECONDS:
        raise ValidationError("It must be between 1 second and 366 days.")


def _choices(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, name) for name in sorted(names)]


class _LimitInline(StackedInline):
    form = LimitForm
    formset = LimitFormSet
    fields = ("quota", "window", "algorithm", "burst", ("period", "timezone"))
    extra = 0
    min_num = 1
    verbose_name = "limit"
    verbose_name_plural = "limits: a request has to fit every one of them"

    class Media:
        js = ["limits/limits_form.js"]


class PolicyLimitInline(_LimitInline):
    model = PolicyLimit


class OverrideLimitInline(_LimitInline):
    model = OverrideLimit


class _TypedLimit(LimitForm):
    class Meta:
        model = PolicyLimit
        fields = ("quota", "window", "algorithm", "burst", "period", "timezone")


def sentence_view(request: HttpRequest) -> HttpResponse:
    """What the limit that is being typed means: ``sentence`` and ``meaning``, or ``problem``."""
    form = _TypedLimit(request.GET)
    if not form.is_valid():
        problem = next(str(error) for errors in form.errors.values() for error in errors)
        return JsonResponse({"problem": problem})
    limit = form.instance.as_domain()
    sentence = limit_sentence(limit)
    return JsonResponse({"sentence": sentence[:1].upper() + sentence[1:] + ".", "meaning": limit_meaning(limit)})
