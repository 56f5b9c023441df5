"""Rows of a formset that are compared with each other by the formset, not one by one."""

from typing import Any

from django.core.exceptions import ValidationError
from django.forms import Field, ModelForm
from django.forms.models import InlineForeignKeyField


class InlineRow(ModelForm):
    """A row beside others of one parent."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            labelled_as_one(field)

    def validate_constraints(self) -> None:
        """Since Django 6: compares this row with what is saved. Rows of the same parent are left to the
        formset, since the saved ones may be about to change too."""
        parents = {name for name, field in self.fields.items() if isinstance(field, InlineForeignKeyField)}
        try:
            self.instance.validate_constraints(exclude=self._get_validation_exclusions() | parents)  # type: ignore[attr-defined]
        except ValidationError as error:
            self._update_errors(error)  # type: ignore[attr-defined]


def labelled_as_one(field: Any) -> Any:
    """Names each input of a field of several, such as date and time. Since Django 6 such a field has a
    legend, which names no input where the theme shows no fieldset around it."""
    if isinstance(field, Field):
        field.widget.use_fieldset = False
        for part in getattr(field.widget, "widgets", ()):
            part.attrs.setdefault(
                "aria-label", f"{field.label}: {part.attrs.get('placeholder', '').lower()}".strip(": ")
            )
    return field
