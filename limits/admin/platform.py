"""The emergency switch."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.widgets import UnfoldAdminTextInputWidget

from limits.admin.base import PlatformModelAdmin
from limits.admin.publishing import PublishesRules
from limits.admin.row_history import ShowsHistory
from limits.domain.validation import MAX_REASON_LENGTH
from limits.models import Platform
from limits.models.fields import validate_printable


class SwitchForm(forms.ModelForm):
    """The switch, and why."""

    why = forms.CharField(
        required=False,
        max_length=MAX_REASON_LENGTH,
        validators=[validate_printable],
        widget=UnfoldAdminTextInputWidget,
        help_text="One sentence, for the history.",
    )


@admin.register(Platform)
class PlatformAdmin(ShowsHistory, PublishesRules, PlatformModelAdmin):
    """One step, without a review: at night there is no time for two."""

    form = SwitchForm
    fields = ("shadow_all", "why")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """There is one row, so its page is the list."""
        return HttpResponseRedirect(reverse("admin:limits_platform_change", args=[Platform.load().pk]))
