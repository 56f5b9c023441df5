"""Endpoints, with their routes inline; and a page to try which endpoint a method and a path belong to, with
the matching patterns in order of precedence."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.forms import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import TabularInline
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from limits.admin.base import HasIntroduction, PlatformModelAdmin
from limits.admin.drafts import WorksOnDraft
from limits.admin.forms import ImmutableSlugAdmin, InlineRow
from limits.admin.publishing import PublishesRules
from limits.admin.row_history import ShowsHistory
from limits.models import Endpoint, Route
from limits.publishing.rules import read_ruleset
from ratelimit_enforcer.domain.routes import Router
from ratelimit_enforcer.domain.ruleset import Ruleset


@dataclass(frozen=True, slots=True)
class Pattern:
    """A matching pattern. ``wins``: it is the most specific one, so its endpoint applies."""

    route: str
    endpoint: str
    wins: bool


def patterns_for(ruleset: Ruleset, method: str, path: str) -> Iterator[Pattern]:
    """Yields all matching patterns of the ruleset, the most specific first."""
    routes = [(route, endpoint) for endpoint in ruleset.endpoints for route in endpoint.routes]
    winner = Router((route, str(route)) for route, _ in routes).match(method, path)
    fitting = [(route, endpoint) for route, endpoint in routes if Router([(route, "")]).match(method, path) is not None]
    found = [Pattern(str(route), endpoint.name, str(route) == winner) for route, endpoint in fitting]
    yield from sorted(found, key=lambda pattern: not pattern.wins)


class RouteTestForm(forms.Form):
    """A request to try: method and path as sent by a client."""

    request = forms.RegexField(
        r"^[A-Za-z]+ /\S*$",
        max_length=2_000,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "GET /api/products/search?q=tea"}),
        error_messages={"invalid": "Enter a method and a path, such as “GET /api/products/7”."},
        help_text="Method and path, as sent by a client.",
    )


def route_test_view(request: HttpRequest, admin_site: admin.AdminSite) -> HttpResponse:
    """Shows a form for a request, and the endpoint that the request matches according to the saved routes."""
    form = RouteTestForm(request.GET or None)
    found = _found(form.cleaned_data["request"]) if form.is_valid() else {}
    context = {
        **admin_site.each_context(request),
        "title": "Test a route",
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


class RouteFormSet(BaseInlineFormSet):
    """Rejects duplicate patterns."""

    def clean(self) -> None:
        super().clean()
        shapes: set[str] = set()
        for form in self.forms:
            if form in self.deleted_forms or not form.is_valid() or not form.instance.shape:
                continue
            if form.instance.shape in shapes:
                form.add_error("path", "This pattern is already in the list.")
            shapes.add(form.instance.shape)


class RouteForm(InlineRow):
    """Labels each field: the column headings of the table do not label them for screen readers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            field.widget.attrs["aria-label"] = f"Route: {name}"


class RouteInline(TabularInline):
    model = Route
    form = RouteForm
    formset = RouteFormSet
    fields = ("method", "path")
    extra = 0
    verbose_name_plural = "routes: the most specific pattern wins"


@admin.register(Endpoint)
class EndpointAdmin(
    HasIntroduction, WorksOnDraft, ShowsHistory, ImmutableSlugAdmin, PublishesRules, PlatformModelAdmin
):
    introduction = (
        "An endpoint groups routes of your API that share limits. Only policies for all requests apply to requests "
        "that match no route."
    )
    article = "an"
    is_reviewed = True
    list_display = ("name", "slug", "patterns", "cost")
    search_fields = ("name", "slug", "routes__path")
    fields = ("name", "slug", "description", "cost")
    inlines = (RouteInline,)
    actions_list = ("try_a_route",)

    @action(description="Test a route…", url_path="try-a-route", permissions=["view"])
    def try_a_route(self, request: HttpRequest) -> HttpResponse:
        return route_test_view(request, self.admin_site)

    def history_of_parts(self, pk: object) -> Iterable[QuerySet[Any]]:
        return [Route.history.filter(endpoint_id=pk)]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        return super().get_queryset(request).prefetch_related("routes")

    @display(description="Routes")
    def patterns(self, endpoint: Endpoint) -> str:
        return ", ".join(map(str, endpoint.routes.all())) or "none"
