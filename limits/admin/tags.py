"""Tags in the list of clients: the filter, and the links to what they are for."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from limits.admin.forms import TagsField, TagsInput
from limits.models import Client
from ratelimit_enforcer.domain.segments import Segment


class TagFilter(admin.SimpleListFilter):
    """Filters by tags that are typed: clients with all of them. A list of all tags would need all rows."""

    title = "tags"
    parameter_name = "tag"
    template = "admin/limits/client/tag_filter.html"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return []

    def has_output(self) -> bool:
        return True

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Yields the input, and the other parameters of the list as hidden fields."""
        other = {name: value for name, value in self.request.GET.items() if name not in (self.parameter_name, PAGE_VAR)}
        attributes = {"aria-label": "Tags", "id": "tag-filter", "placeholder": "wholesale"}
        yield {"input": TagsInput(attributes).render(self.parameter_name, self.value()), "other": other}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Client]) -> QuerySet[Client]:
        try:
            tags = tags_in(request)
        except ValidationError as error:
            raise IncorrectLookupParameters(error) from error
        return queryset.filter(tags__contains=tags) if tags else queryset


def tags_in(request: HttpRequest) -> list[str]:
    """Returns the tags that the list of clients is filtered by. Raises ``ValidationError``."""
    found: list[str] = TagsField(required=False).clean(request.GET.get(TagFilter.parameter_name))
    return found


def raise_links(request: HttpRequest) -> list[tuple[str, str]]:
    """Returns (text, URL) of the form of an override for all clients with the tags that the list is filtered by;
    nothing if the user may not add one."""
    with suppress(ValidationError):
        tags = tags_in(request)
        if tags and request.user.has_perm("limits.add_segmentoverride"):
            return [(f"Raise limits for {Segment(tags=tuple(tags))}…", raise_url(tags))]
    return []


def clients_url(tag: str) -> str:
    """Returns the URL of the list of clients with this tag."""
    return f"{reverse('admin:limits_client_changelist')}?{urlencode({TagFilter.parameter_name: tag})}"


def raise_url(tags: list[str]) -> str:
    """Returns the URL of the form of an override for all clients with these tags."""
    return f"{reverse('admin:limits_segmentoverride_add')}?{urlencode({'tags': ' '.join(tags)})}"
