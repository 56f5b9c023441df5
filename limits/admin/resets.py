"""Forgetting a client's counters: the form, and the list of those that were forgotten."""

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from limits.admin.fields import NobodyEdits
from limits.admin.help import Introduced
from limits.domain.validation import MAX_REASON_LENGTH
from limits.models import Client, CounterReset
from limits.models.fields import validate_printable
from limits.publishing.resets import reset
from limits.store.errors import StoreUnavailable


class ResetForm(forms.Form):
    """Why the counters are forgotten."""

    reason = forms.CharField(
        max_length=MAX_REASON_LENGTH, validators=[validate_printable], widget=UnfoldAdminTextInputWidget()
    )


@admin.register(CounterReset)
class CounterResetAdmin(Introduced, NobodyEdits, ModelAdmin):
    introduction = "Whose counters were forgotten, by whom and why. To forget some, open the client's page."
    list_display = ("client_key", "created_at", "author", "reason")
    fields = ("client_key", "created_at", "author", "reason")
    search_fields = ("^client_key",)
    search_help_text = "The beginning of the client's key"
    show_full_result_count = False


def reset_view(request: HttpRequest, admin_site: admin.AdminSite, client: Client) -> HttpResponse:
    """The page that asks for the reason, and what it leads to."""
    form = ResetForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return _reset(request, client, form.cleaned_data["reason"])
    context = {
        **admin_site.each_context(request),
        "title": f"Forget the counters of “{client}”",
        "opts": Client._meta,
        "client": client,
        "form": form,
    }
    return TemplateResponse(request, "admin/limits/client/reset.html", context)


def _reset(request: HttpRequest, client: Client, reason: str) -> HttpResponse:
    try:
        reset(client.key, reason=reason, author=request.user.get_username())
    except StoreUnavailable:
        messages.error(request, "The store cannot be reached. Nothing was recorded; try again when it is back.")
    else:
        messages.success(request, f"The counters of {client.key} are forgotten.")
    return HttpResponseRedirect(reverse("admin:limits_client_change", args=[client.pk]))
