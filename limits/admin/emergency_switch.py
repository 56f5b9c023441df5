"""The emergency switch, and the banner while it is on."""

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
from limits.models import Platform, Publication
from limits.models.fields import validate_printable
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.domain.validation import MAX_REASON_LENGTH
from ratelimit_enforcer.store.connections.factory import store_connections


class SwitchForm(forms.ModelForm):
    """The form for the switch, and the reason."""

    why = forms.CharField(
        label="Reason",
        required=False,
        max_length=MAX_REASON_LENGTH,
        validators=[validate_printable],
        widget=UnfoldAdminTextInputWidget,
        help_text="One sentence, recorded in the history.",
    )


@admin.register(Platform)
class PlatformAdmin(ShowsHistory, PublishesRules, PlatformModelAdmin):
    """A single step without a review, since the switch is for emergencies."""

    form = SwitchForm
    fields = ("shadow_all", "why")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """There is only one row, so its page replaces the list."""
        return HttpResponseRedirect(reverse("admin:limits_platform_change", args=[Platform.load().pk]))


def banner(request: HttpRequest) -> list[str] | None:
    """Returns a text and a colour for the top of every page while the emergency switch is on, or may still be
    on."""
    if not request.user.is_authenticated:
        return None
    is_on = Platform.load().shadow_all
    if not _is_live():
        return _not_live(is_on=is_on)
    if not is_on:
        return None
    if store_connections().outages.is_open:
        return ["Emergency switch is on. Redis is unavailable: servers may have older rules", "danger"]
    return ["Emergency switch is on: limits not enforced (blocks stay)", "danger"]


def _is_live() -> bool:
    """Whether the newest version is live."""
    state = Publication.objects.order_by("-sequence").values_list("state", flat=True).first()
    return state in (None, Publication.State.LIVE)


def _not_live(*, is_on: bool) -> list[str] | None:
    """While a version waits, the switch may be on in the admin and off on the servers, or the reverse."""
    if is_on:
        return ["Emergency switch is on, but not confirmed live on every server yet", "danger"]
    live = Publication.objects.filter(state=Publication.State.LIVE).order_by("-sequence").first()
    if live is not None and Ruleset.from_bytes(live.content.encode()).shadow_all:
        return ["Emergency switch is off, but not confirmed live on every server yet", "danger"]
    return None
