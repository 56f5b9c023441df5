"""A page with one form: what it asks, a button, and a way back."""

from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminTextInputWidget

from limits.domain.validation import MAX_REASON_LENGTH
from limits.models.fields import validate_printable


def reason_field(placeholder: str) -> forms.CharField:
    """One sentence of why, which is recorded."""
    return forms.CharField(
        label="Why? One sentence, for the history",
        max_length=MAX_REASON_LENGTH,
        validators=[validate_printable],
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": placeholder}),
    )


def form_page(
    request: HttpRequest,
    admin_site: AdminSite,
    form: forms.BaseForm,
    *,
    title: str,
    submit: str,
    back: str,
    **more: Any,
) -> HttpResponse:
    """Shows the form. ``more``: ``intro`` (paragraphs), ``opts`` (whose menu), ``danger`` (the colour
    of the button)."""
    context = {**admin_site.each_context(request), "title": title, "form": form, "submit": submit, "back": back}
    return TemplateResponse(request, "admin/limits/form_page.html", context | more)
