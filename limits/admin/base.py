"""Common behaviour of all lists and forms of the admin: pages of large tables without counting them, sorting
of search results, introductions at the top of lists, and safe handling of filters and conflicts."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import FieldDoesNotExist, PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import IntegrityError, connection
from django.db.models import F, Field, Model, QuerySet, Value
from django.db.models.expressions import OrderBy
from django.db.models.functions import Concat
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from psycopg.errors import ExclusionViolation, ForeignKeyViolation, UniqueViolation
from unfold.admin import ModelAdmin

from limits.admin.bulk import delete_one, delete_selected, selection_with_keys
from limits.admin.forms import (
    DATE_FIELDS,
    RowSelect,
    add_conflict,
    add_problems,
    all_errors,
    form_with_errors,
    label_inputs,
)
from ratelimit_enforcer.domain.validation import InvalidRuleset

MAX_COUNTED_ROWS = 10_000
"""Maximum number of rows of a filtered list that are counted."""


class BigTablePaginator(Paginator):
    """Pages of large tables. For an unfiltered table it uses PostgreSQL's estimate of the size; a filtered list
    is counted up to ``MAX_COUNTED_ROWS`` rows, which also limits its pages."""

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Any]", self.object_list)
        if rows.query.where or rows.query.distinct:
            return rows.order_by()[:MAX_COUNTED_ROWS].count()
        estimate = _estimate(rows.model._meta.db_table)
        return estimate if estimate > MAX_COUNTED_ROWS else rows.order_by().count()


def _estimate(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [table])
        return int(cursor.fetchone()[0])


MAX_SORTED_ROWS = 200_000
"""Maximum number of rows to sort: for more rows, the first page is found faster by the index of the order."""


class SortsSearchResults:
    """Sorts the results of searches that find a few rows among a million. PostgreSQL would otherwise scan all
    rows in their order and test each, which takes a second if the matching rows are the last ones."""

    search_order = "key"
    """The column by which the list is ordered."""

    narrow_filters: tuple[str, ...] = ()
    """Parameters of filters that may find a few rows, as a search does."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found, repeats = super().get_search_results(request, queryset, search_term)  # type: ignore[misc]
        narrows = bool(search_term) or any(request.GET.get(name) for name in self.narrow_filters)
        if narrows and found.order_by()[:MAX_SORTED_ROWS].count() < MAX_SORTED_ROWS:
            # The search of an autocomplete field has the order of the model.
            order = found.query.order_by or found.model._meta.ordering
            found = found.order_by(*map(self._sorted, order))
        return found, repeats

    def _sorted(self, name: Any) -> Any:
        """Returns the same order by an expression that has no index."""
        if name not in (self.search_order, f"-{self.search_order}"):
            return name
        return OrderBy(Concat(F(self.search_order), Value("")), descending=name.startswith("-"))


class SearchesByBeginning:
    """Matches the search text as a whole, with its spaces. Django would match each word separately: a search for
    “acme l” would not find “Acme Ltd”, because neither its key nor its name begins with “l”."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        quoted = _quoted(search_term.strip())
        return super().get_search_results(request, queryset, quoted)  # type: ignore[misc]


def _quoted(text: str) -> str:
    """Returns the text in quotation marks, between which Django does not split it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if text else ""


class HasIntroduction:
    """A list with an introduction: ``introduction`` explains it; ``introduction_links`` are (text, URL name)
    pairs."""

    introduction = ""
    introduction_links: tuple[tuple[str, str], ...] = ()
    list_before_template = "admin/limits/introduction.html"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"introduction": self.introduction, "introduction_links": self.introduction_links}
        return super().changelist_view(request, context | (extra_context or {}))  # type: ignore[misc]


_FILTER_LOOKUPS = ("exact", "id__exact", "isnull", "isempty")
_ADD_ERRORS = "_add_errors_of_this_request"
_CONFLICTS = (UniqueViolation, ExclusionViolation, ForeignKeyViolation)


class UnknownFilter(Exception):
    """A URL filters, sorts or pages a list in an invalid way."""


def _lookups(filters: Any) -> Iterator[str]:
    """Yields the lookups that the filters of a list use: “plan__id__exact”."""
    for each in filters:
        name = each[0] if isinstance(each, (tuple, list)) else each
        if isinstance(name, str):
            yield from (f"{name}__{lookup}" for lookup in _FILTER_LOOKUPS)
        else:
            yield name.parameter_name


def _converted(model: type[Model], given: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields the values of fields, converted; values that the field of that name cannot convert are left out."""
    for name, value in given.items():
        # TypeError: a PostgreSQL array given as a number.
        with suppress(FieldDoesNotExist, ValidationError, ValueError, TypeError):
            field = model._meta.get_field(name)
            if isinstance(field, Field):
                yield name, field.to_python(value)


class PlatformModelAdmin(ModelAdmin):
    """The base of all lists and forms of the platform."""

    formfield_overrides = DATE_FIELDS
    article = "a"
    """For “Add an endpoint”."""
    when_empty = ""
    """A sentence for the empty list: when rows appear in it."""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allows only lookups of the list's filters: Django allows every comparison of every column, and most
        invalid values fail only when PostgreSQL parses them."""
        return lookup in set(_lookups(self.get_list_filter(request)))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        try:
            return super().get_changelist_instance(request)
        except (DisallowedModelAdminLookup, IncorrectLookupParameters):
            raise UnknownFilter from None

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Redirects an invalid filter to the unfiltered list."""
        try:
            return super().changelist_view(request, extra_context)
        except UnknownFilter:
            messages.warning(request, "This list has no such filter or page, so all rows are shown.")
            return HttpResponseRedirect(request.path)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Returns initial values from the URL, converted to values of the model's fields; widgets fail on
        other text."""
        given = super().get_changeform_initial_data(request)
        return dict(_converted(self.model, given))

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name in self.get_autocomplete_fields(request):
            options.setdefault("widget", RowSelect(db_field, self.admin_site, using=options.get("using")))
        return super().formfield_for_foreignkey(db_field, request, **options)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        return label_inputs(super().formfield_for_dbfield(db_field, request, **options))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        if "delete_selected" in actions:
            actions["delete_selected"] = (delete_selected, *actions["delete_selected"][1:])
        return actions

    def effect_of_deleting(self, queryset: QuerySet[Any], count: int) -> str:
        """Returns a sentence for the deletion page about the effect of deleting ``count`` rows on others; may
        be empty."""
        return ""

    def obstacle_to_deleting(self, queryset: QuerySet[Any]) -> str:
        """Returns what to do before these rows can be deleted, as a sentence; empty if they can be."""
        return ""

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        request.POST = selection_with_keys(request.POST)  # type: ignore[assignment]
        return super().response_action(request, queryset)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Asks for a reason before deleting. For reviewed rows, the review asks for it."""
        if getattr(self, "is_reviewed", False):
            return super().delete_view(request, object_id, extra_context)
        row = self.get_object(request, object_id)
        if not self.has_delete_permission(request, row):
            raise PermissionDenied
        if row is None:
            raise Http404
        return delete_one(self, request, row, reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))

    def changeform_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Shows on the form why the compiler rejected the rules, or the database the rows, because two users saved at
        the same time."""
        try:
            return super().changeform_view(request, *args, **options)
        except InvalidRuleset as rejection:
            setattr(request, _ADD_ERRORS, partial(add_problems, problems=rejection.problems))
        except IntegrityError as error:
            if not isinstance(error.__cause__, _CONFLICTS):
                raise
            setattr(request, _ADD_ERRORS, add_conflict)
        return super().changeform_view(request, *args, **options)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        form = super().get_form(request, obj, change=change, **options)
        add_errors = getattr(request, _ADD_ERRORS, None)
        return form_with_errors(form, add_errors) if add_errors else form

    def has_history(self, row: Model) -> bool:
        """Whether the history page of the row has any content."""
        entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(row), object_id=row.pk)
        return entries.exists()

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], obj: Any = None, **options: Any
    ) -> HttpResponse:
        context["show_history"] = obj is not None and self.has_history(obj)
        if request.method == "POST":
            context["error_summary"] = all_errors(context["adminform"].form, context["inline_admin_formsets"])
        return super().render_change_form(request, context, obj=obj, **options)
