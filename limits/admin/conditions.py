"""Form fields for what a policy counts separately, and for its conditions."""

from collections.abc import Mapping
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from limits.models.rules import validate_match, validate_partition


class AttributesField(forms.CharField):
    """Names of attributes, separated by commas or spaces."""

    widget = UnfoldAdminTextInputWidget(attrs={"placeholder": "ip, model"})

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, validators=[validate_partition], **options)

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        return value if isinstance(value, list) else (value or "").replace(",", " ").split()


class ConditionsField(forms.CharField):
    """One condition in each line: the attribute, a colon, and patterns separated by commas."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 3, "placeholder": "model: gpt-*, o1\nclient_tags: trial"})

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, validators=[validate_match], **options)

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return "\n".join(f"{name}: {', '.join(patterns)}" for name, patterns in value.items())

    def to_python(self, value: Any) -> dict[str, list[str]]:  # type: ignore[override]
        if isinstance(value, Mapping):
            return dict(value)
        conditions: dict[str, list[str]] = {}
        for line in (line.strip() for line in (value or "").splitlines() if line.strip()):
            name, colon, patterns = line.partition(":")
            if not colon or name.strip() in conditions:
                problem = "has no colon" if not colon else "names an attribute twice"
                raise forms.ValidationError(f"The line “{line}” {problem}: write “model: gpt-*, o1”.")
            conditions[name.strip()] = [pattern.strip() for pattern in patterns.split(",")]
        return conditions
