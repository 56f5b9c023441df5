"""Which endpoint a method and a path belong to: a page to try it."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminTextInputWidget

from limits.admin.routes import patterns_for
from limits.domain.routes import Router
from limits.models import Endpoint
from limits.publishing.compiler import read_ruleset


class RouteTestForm(forms.Form):
    """A request to try: a method and a path, as they are sent."""

    request = forms.RegexField(
        r"^[A-Za-z]+ /\S*$",
        max_length=2_000,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "GET /api/products/search?q=tea"}),
        error_messages={"invalid": "It must be a method and a path, such as “GET /api/products/7”."},
        help_text="As a program would send it.",
    )


def route_test_view(request: HttpRequest, admin_site: admin.AdminSite) -> HttpResponse:
    """Asks for a request and says which endpoint it belongs to, by the routes as they are saved."""
    form = RouteTestForm(request.GET or None)
    found = _found(form.cleaned_data["request"]) if form.is_valid() else {}
    context = {
        **admin_site.each_context(request),
        "title": "Try a route",
        "opts": Endpoint._meta,
        "form": form,
        **found,
    }
    return TemplateResponse(request, "admin/limits/endpoint/route_test.html", context)


def _found(asked: str) -> dict[str, Any]:
    method, _, path = asked.partition(" ")
    ruleset = read_ruleset()
    router = Router((route, endpoint.slug) for endpoint in ruleset.endpoints for route in endpoint.routes)
    slug = router.match(method, path)
    endpoint = Endpoint.objects.filter(slug=slug).first()
    return {"asked": asked, "endpoint": endpoint, "patterns": list(patterns_for(ruleset, method, path))}
