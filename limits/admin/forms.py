"""Shared parts of the admin's forms: fields and widgets, base classes, errors that a save found, and the list of
errors at the top of a form."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db.models import DateTimeField, Model
from django.forms import BaseForm, Field, ModelForm, MultiWidget
from django.forms.models import InlineForeignKeyField
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminSplitDateTimeWidget, UnfoldAdminTextInputWidget

from limits.models.fields import validate_printable, validate_tags
from limits.models.tags import known_tags, typed_tags
from ratelimit_enforcer.domain.validation import MAX_REASON_LENGTH, ValidationProblem, capitalized

_KEY = re.compile("[0-9]{1,18}")


class RowSelect(AutocompleteSelect):
    """A searchable choice of a row. Text in a URL or form that cannot be a key is treated as an invalid
    choice; Django would query PostgreSQL for it."""

    def optgroups(self, name: str, value: Sequence[str], attrs: dict[str, Any] | None = None) -> list[Any]:
        keys = [each for each in value if not each or _KEY.fullmatch(str(each))]
        return super().optgroups(name, keys, attrs)


class ImmutableSlugAdmin:
    """The slug is derived from the name when a row is added, and read-only from then on."""

    slug_field = "slug"
    slug_from = "name"

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        fields = list(super().get_readonly_fields(request, obj))  # type: ignore[misc]
        return [*fields, self.slug_field] if obj else fields

    def get_prepopulated_fields(self, request: HttpRequest, obj: Model | None = None) -> dict[str, tuple[str, ...]]:
        return {} if obj else {self.slug_field: (self.slug_from,)}


class ReadOnlyAdmin:
    """A mixin for the admin of rows that the platform writes: users can only view them."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class DateAndOptionalTime(forms.SplitDateTimeField):
    """A date with an optional time: without one it is midnight."""

    def __init__(self, **options: Any) -> None:
        help_text = f"{options.pop('help_text', '')} A date without a time is midnight UTC.".strip()
        super().__init__(require_all_fields=False, help_text=help_text, **options)
        self.fields[1].required = False

    def compress(self, data_list: Any) -> datetime | None:
        day, at = data_list or (None, None)
        return super().compress((day, at or time())) if day else None


DATE_FIELDS = {DateTimeField: {"form_class": DateAndOptionalTime, "widget": UnfoldAdminSplitDateTimeWidget}}
"""For ``formfield_overrides``."""


class TagsInput(UnfoldAdminTextInputWidget):
    """A text input that suggests the tags in use."""

    template_name = "limits/widgets/tags.html"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["widget"]["attrs"]["list"] = f"{name}-suggestions"
        return context | {"suggestions": known_tags()}


class TagsField(forms.Field):
    """Tags, separated by spaces or commas. The value is a sorted list without duplicates, in lower case."""

    widget = TagsInput
    default_validators = [validate_tags]

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"help_text": "Separated by spaces or commas."} | options)

    def to_python(self, value: Any) -> list[str]:
        return typed_tags(str(value or ""))

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value


class InlineRow(ModelForm):
    """The form of an inline row, with a label for every input."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            label_inputs(field)

    def validate_constraints(self) -> None:
        """Since Django 6 this compares the row with saved rows. Rows of the same parent are left to the
        formset, since the saved ones may be about to change too."""
        parents = {name for name, field in self.fields.items() if isinstance(field, InlineForeignKeyField)}
        try:
            self.instance.validate_constraints(exclude=self._get_validation_exclusions() | parents)  # type: ignore[attr-defined]
        except ValidationError as error:
            self._update_errors(error)  # type: ignore[attr-defined]


def label_inputs(field: Any) -> Any:
    """Labels each input of a field with several inputs, such as date and time. Since Django 6 such a field
    has a legend, which labels no input if the theme shows no fieldset around it."""
    if isinstance(field, Field):
        field.widget.use_fieldset = False
        for part in getattr(field.widget, "widgets", ()):
            part.attrs.setdefault(
                "aria-label", f"{field.label}: {part.attrs.get('placeholder', '').lower()}".strip(": ")
            )
    return field


def reason_field(placeholder: str) -> forms.CharField:
    """Returns a field for the reason of a change."""
    return forms.CharField(
        label="Reason",
        help_text="One sentence, recorded in the history.",
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
    """Renders the form. ``more``: ``intro`` (paragraphs), ``opts`` (the model whose menu is shown),
    ``danger`` (the colour of the button)."""
    context = {**admin_site.each_context(request), "title": title, "form": form, "submit": submit, "back": back}
    return TemplateResponse(request, "admin/limits/form_page.html", context | more)


# Errors that a save found. Django's ``ModelAdmin.get_form`` returns a class, from which Django creates the form
# without the request: what one request found out can only be passed in a subclass.


def form_with_errors(form: type[ModelForm], add_errors: Callable[[ModelForm], None]) -> type[ModelForm]:
    """Returns a subclass of the form that also has the errors that ``add_errors`` adds."""

    class FormWithErrors(form):  # type: ignore[misc, valid-type]
        def clean(self) -> dict[str, Any] | None:
            cleaned: dict[str, Any] | None = super().clean()
            add_errors(self)
            return cleaned

    return FormWithErrors


def form_shown_again(form: type[ModelForm]) -> type[ModelForm]:
    """Returns a subclass of the form that is never saved, so that Django shows it again as submitted."""

    class FormShownAgain(form):  # type: ignore[misc, valid-type]
        def is_valid(self) -> bool:
            return False

    return FormShownAgain


def add_conflict(form: ModelForm) -> None:
    """Adds the error for rows that passed validation and were then rejected by the database."""
    form.add_error(
        None,
        "This conflicts with saved data, probably because another user saved at the same time. Check the current data, "
        "then save again.",
    )


def add_problems(form: ModelForm, problems: Iterable[ValidationProblem]) -> None:
    """Adds the problems that the compiler found in the rules, each to its field if the form has the field."""
    for problem in problems:
        field = str(problem.location[-1])
        message = capitalized(problem.message)
        if len(problem.location) == 3 and field in form.fields:
            form.add_error(field, message)
        else:
            form.add_error(None, f"{place_of(problem)}: {message}")


def place_of(problem: ValidationProblem) -> str:
    """Returns “policies free-search, limits 1, quota”: positions count from one, as on the form."""
    section, *rest = problem.location
    parts = [f"{part + 1}" if isinstance(part, int) else str(part) for part in rest]
    return " ".join([str(section), *parts[:1]]) + ("," if parts[1:] else "") + " ".join(["", *parts[1:]])


# The list of errors at the top of a form.


@dataclass(frozen=True, slots=True)
class ListedError:
    """``label`` names the field and links to the element ``anchor``; both are empty for errors of the form as
    a whole."""

    label: str
    message: str
    anchor: str = ""


def all_errors(form: BaseForm, inlines: Any) -> list[ListedError]:
    """Returns the errors of a form, of its inlines (``InlineAdminFormSet``) and of forms nested in them."""
    found = list(_of_form(form, ""))
    for inline in inlines:
        found += _of_inline(inline, "")
    return found


def _of_form(form: BaseForm, place: str) -> Iterator[ListedError]:
    for name, errors in form.errors.items():
        for message in errors:
            if name == NON_FIELD_ERRORS:
                yield ListedError(place, str(message), f"{form.prefix}-errors" if place else "")
            else:
                yield ListedError(_joined(place, _label(form, name)), str(message), _anchor(form, name))


def _of_inline(inline: Any, place: str) -> Iterator[ListedError]:
    formset = inline.formset
    kind = str(formset.model._meta.verbose_name)
    for message in formset.non_form_errors():
        yield ListedError(_joined(place, f"{kind}s"), str(message), f"{formset.prefix}-data")
    for number, form in enumerate(formset.forms, start=1):
        here = _joined(place, f"{kind} {number}")
        yield from _of_form(form, here)
        for nested in getattr(form, "nested_formsets", ()):
            yield from _of_inline(nested, here)


def _joined(place: str, label: str) -> str:
    return f"{place}, {label.lower()}" if place else capitalized(label)


def _label(form: BaseForm, name: str) -> str:
    return str(form[name].label) if name in form.fields else name


def _anchor(form: BaseForm, name: str) -> str:
    if name not in form.fields or form[name].is_hidden:
        return ""
    widget = form.fields[name].widget
    return f"{form[name].auto_id}_0" if isinstance(widget, MultiWidget) else form[name].auto_id
