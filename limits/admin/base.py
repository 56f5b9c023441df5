"""What every list and form of the admin does alike."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.contrib import messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import FieldDoesNotExist, PermissionDenied, ValidationError
from django.db import IntegrityError
from django.db.models import Field, Model, QuerySet
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from psycopg.errors import ExclusionViolation, ForeignKeyViolation, UniqueViolation
from unfold.admin import ModelAdmin

from limits.admin.bulk import with_keys
from limits.admin.deletion import delete_one, delete_selected
from limits.admin.error_summary import mistakes
from limits.admin.fields import RowSelect
from limits.admin.inline_rows import labelled_as_one

_OF_FILTERS = ("exact", "id__exact", "isnull", "isempty")
_CONFLICT = "_conflict_of_this_request"
_CONFLICTS = (UniqueViolation, ExclusionViolation, ForeignKeyViolation)


class UnknownFilter(Exception):
    """An address filters, sorts or pages a list in a way that it cannot."""


def _lookups(filters: Any) -> Iterator[str]:
    """What the filters of a list send: “plan__id__exact”."""
    for each in filters:
        name = each[0] if isinstance(each, (tuple, list)) else each
        if isinstance(name, str):
            yield from (f"{name}__{lookup}" for lookup in _OF_FILTERS)
        else:
            yield name.parameter_name


def _readable(model: type[Model], given: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Values of fields, read; what no field of this name can read is left out."""
    for name, value in given.items():
        # TypeError: a list of PostgreSQL that is given as a number.
        with suppress(FieldDoesNotExist, ValidationError, ValueError, TypeError):
            field = model._meta.get_field(name)
            if isinstance(field, Field):
                yield name, field.to_python(value)


class ConflictForm(ModelForm):
    """A form whose rows were valid when they were looked at, and that the database refused then."""

    def clean(self) -> dict[str, Any] | None:
        self.add_error(
            None,
            "This contradicts what is saved already, perhaps by somebody who saved at the same moment. Look at what is "
            "there now, and save again.",
        )
        return super().clean()


class PlatformModelAdmin(ModelAdmin):
    """A list and a form of the platform."""

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Only what the filters of the list send: Django allows every comparison of every column, and most
        values fail only when PostgreSQL reads them."""
        return lookup in set(_lookups(self.get_list_filter(request)))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        try:
            return super().get_changelist_instance(request)
        except (DisallowedModelAdminLookup, IncorrectLookupParameters):
            raise UnknownFilter from None

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """A filter that there is not leads to the whole list."""
        try:
            return super().changelist_view(request, extra_context)
        except UnknownFilter:
            messages.warning(request, "The list has no such filter or page. This is the whole list.")
            return HttpResponseRedirect(request.path)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """What the address fills in, as values of the model's fields; widgets fail on other text."""
        given = super().get_changeform_initial_data(request)
        return dict(_readable(self.model, given))

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name in self.get_autocomplete_fields(request):
            options.setdefault("widget", RowSelect(db_field, self.admin_site, using=options.get("using")))
        return super().formfield_for_foreignkey(db_field, request, **options)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        return labelled_as_one(super().formfield_for_dbfield(db_field, request, **options))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        if "delete_selected" in actions:
            actions["delete_selected"] = (delete_selected, *actions["delete_selected"][1:])
        return actions

    def consequence_of_deleting(self, queryset: QuerySet[Any], count: int) -> str:
        """What follows for others when ``count`` rows are deleted, as the page of the deletion says it."""
        return ""

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        request.POST = with_keys(request.POST)  # type: ignore[assignment]
        return super().response_action(request, queryset)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Asks why. What is reviewed asks there."""
        if getattr(self, "is_reviewed", False):
            return super().delete_view(request, object_id, extra_context)
        row = self.get_object(request, object_id)
        if not self.has_delete_permission(request, row):
            raise PermissionDenied
        if row is None:
            raise Http404
        return delete_one(self, request, row, reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))

    def changeform_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Two people may save at once: what the database refuses then is shown on the form."""
        try:
            return super().changeform_view(request, *args, **options)
        except IntegrityError as error:
            if not isinstance(error.__cause__, _CONFLICTS):
                raise
            setattr(request, _CONFLICT, True)
            return super().changeform_view(request, *args, **options)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        form = super().get_form(request, obj, change=change, **options)
        return type(form)(form.__name__, (ConflictForm, form), {}) if hasattr(request, _CONFLICT) else form

    def has_history(self, row: Model) -> bool:
        """Whether the page of its history says anything."""
        entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(row), object_id=row.pk)
        return entries.exists()

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], obj: Any = None, **options: Any
    ) -> HttpResponse:
        context["show_history"] = obj is not None and self.has_history(obj)
        if request.method == "POST":
            context["error_summary"] = mistakes(context["adminform"].form, context["inline_admin_formsets"])
        return super().render_change_form(request, context, obj=obj, **options)
