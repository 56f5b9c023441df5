"""Forms that ask whom a row is for, and use only the field that belongs to the answer."""

from typing import Any, ClassVar, NamedTuple

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.forms import ChoiceField, ModelForm
from unfold.widgets import UnfoldAdminSelectWidget


class Answer(NamedTuple):
    """One possible answer: its label, the value of its field if it is not chosen, and the error if it is chosen
    and its field is empty."""

    label: str
    empty: Any
    missing: str


def shown_if_chosen(answers: dict[str, Answer]) -> dict[str, str]:
    """Returns the ``conditional_fields`` of the page: each field is shown only if it belongs to the answer."""
    return {name: f"whom == '{name}'" for name in answers}


class WhomForm(ModelForm):
    """A form whose field ``whom`` names one of several other fields."""

    answers: ClassVar[dict[str, Answer]]
    """Field → the answer that it belongs to; the first one is chosen at first."""

    whom = ChoiceField(label="For", widget=UnfoldAdminSelectWidget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "whom" in self.fields:
            self.fields["whom"].choices = [(name, answer.label) for name, answer in self.answers.items()]  # type: ignore[attr-defined]
        chosen = next((name for name in self.answers if self.initial.get(name)), next(iter(self.answers)))
        self.initial.setdefault("whom", chosen)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        whom = cleaned.get("whom")
        for name, answer in self.answers.items():
            if name != whom:
                # The errors of a field that is not used are hidden with it.
                self.errors.pop(name, None)
                cleaned[name] = answer.empty
                setattr(self.instance, name, answer.empty)
        if whom and whom not in self.errors and not cleaned.get(whom):
            self.add_error(whom, self.answers[whom].missing)
        return cleaned

    def _update_errors(self, errors: ValidationError) -> None:
        """A row that has an error at one of these fields needs no second error as a whole."""
        if self.errors.keys() & self.answers.keys():
            getattr(errors, "error_dict", {}).pop(NON_FIELD_ERRORS, None)
        super()._update_errors(errors)  # type: ignore[misc]
