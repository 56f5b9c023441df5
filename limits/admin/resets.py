"""Forgetting a client's counters: the form, and the list of those that were forgotten."""

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from limits.admin.base import PlatformModelAdmin
from limits.admin.fields import NobodyEdits
from limits.admin.form_page import form_page, reason_field
from limits.admin.help import Introduced
from limits.admin.permissions import require
from limits.models import Client, CounterReset
from limits.publishing.resets import reset
from limits.store.errors import StoreError


class ResetForm(forms.Form):
    """Why the counters are forgotten."""

    reason = reason_field("Our own load test used up their day.")


@admin.register(CounterReset)
class CounterResetAdmin(Introduced, NobodyEdits, PlatformModelAdmin):
    introduction = "Whose counters were forgotten, by whom and why. To forget some, open the client's page."
    list_display = ("client_key", "created_at", "author", "reason")
    fields = ("client_key", "created_at", "author", "reason")
    search_fields = ("^client_key",)
    search_help_text = "The beginning of the client's key"
    show_full_result_count = False


def reset_view(request: HttpRequest, admin_site: admin.AdminSite, client: Client) -> HttpResponse:
    """The page that asks for the reason, and what it leads to."""
    require(request, "limits.reset_client")
    form = ResetForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return _reset(request, client, form.cleaned_data["reason"])
    return form_page(
        request,
        admin_site,
        form,
        title=f"Forget the counters of “{client}”",
        intro=[
            f"Every counter of “{client.key}” begins anew, on every endpoint. What all clients share is not touched, "
            "and past usage stays recorded."
        ],
        submit="Forget the counters",
        back=reverse("admin:limits_client_change", args=[client.pk]),
        opts=Client._meta,
    )


def _reset(request: HttpRequest, client: Client, reason: str) -> HttpResponse:
    try:
        reset(client.key, reason=reason, author=request.user.get_username())
    except StoreError:
        messages.error(request, "Redis cannot be reached. Nothing was recorded; try again when it can.")
    else:
        messages.success(request, f"The counters of {client.key} are forgotten.")
    return HttpResponseRedirect(reverse("admin:limits_client_change", args=[client.pk]))
