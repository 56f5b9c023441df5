"""Endpoints, with their routes inline."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse
from unfold.admin import TabularInline
from unfold.decorators import action, display

from limits.admin.base import PlatformModelAdmin
from limits.admin.fields import SlugKept
from limits.admin.help import Introduced
from limits.admin.inline_rows import InlineRow
from limits.admin.publishing import PublishesRules
from limits.admin.route_tester import route_test_view
from limits.admin.row_history import ShowsHistory
from limits.models import Endpoint, Route


class RouteFormSet(BaseInlineFormSet):
    """No pattern twice."""

    def clean(self) -> None:
        super().clean()
        shapes: set[str] = set()
        for form in self.forms:
            if form in self.deleted_forms or not form.is_valid() or not form.instance.shape:
                continue
            if form.instance.shape in shapes:
                form.add_error("path", "This pattern is in the list already.")
            shapes.add(form.instance.shape)


class RouteForm(InlineRow):
    """Fields of a table, whose heads do not name them for a screen reader."""

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
class EndpointAdmin(Introduced, ShowsHistory, SlugKept, PublishesRules, PlatformModelAdmin):
    introduction = (
        "What is protected: each endpoint stands for some of your API's addresses. Requests that match no route "
        "here meet only the policies for all requests."
    )
    is_reviewed = True
    list_display = ("name", "slug", "patterns", "cost")
    search_fields = ("name", "slug", "routes__path")
    fields = ("name", "slug", "description", "cost")
    inlines = (RouteInline,)
    actions_list = ("try_a_route",)

    @action(description="Try a route…", url_path="try-a-route", permissions=["view"])
    def try_a_route(self, request: HttpRequest) -> HttpResponse:
        return route_test_view(request, self.admin_site)

    def history_of_parts(self, pk: object) -> Iterable[QuerySet[Any]]:
        return [Route.history.filter(endpoint_id=pk)]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        return super().get_queryset(request).prefetch_related("routes")

    @display(description="Routes")
    def patterns(self, endpoint: Endpoint) -> str:
        return ", ".join(map(str, endpoint.routes.all())) or "none"
