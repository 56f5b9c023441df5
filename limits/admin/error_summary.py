"""Every error of a page with its place, for the list at the top of a form that was refused."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS
from django.forms import BaseForm, MultiWidget


@dataclass(frozen=True, slots=True)
class Mistake:
    """``label`` says where, and is a link to the element ``anchor``; both are empty for the form as a whole."""

    label: str
    message: str
    anchor: str = ""


def mistakes(form: BaseForm, inlines: Any) -> list[Mistake]:
    """Those of a form, of its inlines (``InlineAdminFormSet``) and of what is nested in them."""
    found = list(_of_form(form, ""))
    for inline in inlines:
        found += _of_inline(inline, "")
    return found


def _of_form(form: BaseForm, place: str) -> Iterator[Mistake]:
    for name, errors in form.errors.items():
        for message in errors:
            if name == NON_FIELD_ERRORS:
                yield Mistake(place, str(message), f"{form.prefix}-errors" if place else "")
            else:
                yield Mistake(_joined(place, _label(form, name)), str(message), _anchor(form, name))


def _of_inline(inline: Any, place: str) -> Iterator[Mistake]:
    formset = inline.formset
    kind = str(formset.model._meta.verbose_name)
    for message in formset.non_form_errors():
        yield Mistake(_joined(place, f"{kind}s"), str(message), f"{formset.prefix}-data")
    for number, form in enumerate(formset.forms, start=1):
        here = _joined(place, f"{kind} {number}")
        yield from _of_form(form, here)
        for nested in getattr(form, "nested_formsets", ()):
            yield from _of_inline(nested, here)


def _joined(place: str, label: str) -> str:
    return f"{place}, {label.lower()}" if place else label[:1].upper() + label[1:]


def _label(form: BaseForm, name: str) -> str:
    return str(form[name].label) if name in form.fields else name


def _anchor(form: BaseForm, name: str) -> str:
    if name not in form.fields or form[name].is_hidden:
        return ""
    widget = form.fields[name].widget
    return f"{form[name].auto_id}_0" if isinstance(widget, MultiWidget) else form[name].auto_id
