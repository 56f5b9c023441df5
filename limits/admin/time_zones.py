"""The field for the time zone of a calendar limit: text with suggestions, which a browser loads once for all pages."""

from functools import lru_cache
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.cache import patch_cache_control
from unfold.widgets import UnfoldAdminTextInputWidget

from ratelimit_enforcer.domain.calendar import DEFAULT_TIMEZONE, timezones

SUGGESTIONS = "time-zones"
"""The id of the list of suggestions, which all fields of a page share."""

CACHED_SECONDS = 86_400


class TimeZoneInput(UnfoldAdminTextInputWidget):
    """A text input. ``limits_form.js`` fetches the suggestions when it first gets the focus."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["widget"]["attrs"] |= {
            "list": SUGGESTIONS,
            "placeholder": f"{DEFAULT_TIMEZONE} or none",
            "autocomplete": "off",
            "data-suggestions-url": reverse("admin:limits_policy_time_zones"),
        }
        return context


class TimeZoneField(forms.CharField):
    """The name of a time zone, in any case and with spaces: “new york” is not one, “america/new york” is. Names that
    are unknown are left to the validation of the limit."""

    widget = TimeZoneInput

    def clean(self, value: Any) -> Any:
        given = super().clean(value)
        return _by_typed_name().get(_typed(given), given) if given else None


def _typed(name: str) -> str:
    return name.replace(" ", "_").casefold()


@lru_cache(maxsize=1)
def _by_typed_name() -> dict[str, str]:
    return {_typed(name): name for name in timezones()}


def time_zones_view(request: HttpRequest) -> HttpResponse:
    """Returns the names of all time zones as JSON, which the browser keeps for a day."""
    response = JsonResponse({"names": sorted(timezones())})
    patch_cache_control(response, private=True, max_age=CACHED_SECONDS)
    return response
