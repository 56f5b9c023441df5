"""What a policy counts separately, and its conditions: form fields, and the sentence that describes them."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from limits.domain.condition_sentences import conditions_sentence
from limits.models import Policy
from limits.models.rules import validate_match, validate_partition
from ratelimit_enforcer.domain.attributes import match_of
from ratelimit_enforcer.domain.enums import Partition


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


class CountingForm(forms.ModelForm):
    """What a policy counts separately, and its conditions."""

    attributes = AttributesField(
        label="And separately by",
        help_text="Attributes of checks, such as “model”: each client separately by model has one counter for each "
        "model of each client; all clients together by ip has one for each address. A check without the attribute is "
        "counted with all others that lack it.",
    )
    match = ConditionsField(
        label="Only if",
        help_text="One condition in each line, all of which must match, such as “model: gpt-*, o1” or “client_tags: "
        "trial”. * stands for any characters. Callers choose the values of many attributes: a policy that must not be "
        "evaded has no condition on those.",
    )

    class Media:
        js = ["limits/live_sentence.js", "limits/conditions_form.js"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "match" in self.fields:
            self.fields["match"].widget.attrs["data-sentence-url"] = reverse("admin:limits_policy_conditions_sentence")


class _CountingBeingTyped(CountingForm):
    class Meta:
        model = Policy
        fields = ("partition", "attributes", "match")


@require_POST
def conditions_sentence_view(request: HttpRequest) -> HttpResponse:
    """Returns the meaning of the partition and conditions being typed as JSON: ``sentence``, or ``problem`` with the
    errors that saving them would show. A POST, since conditions can be longer than a URL."""
    form = _CountingBeingTyped(request.POST)
    if not form.is_valid():
        return JsonResponse({"problem": " ".join(str(error) for errors in form.errors.values() for error in errors)})
    policy = form.instance
    sentence = conditions_sentence(Partition(policy.partition), policy.attributes, match_of(policy.match))
    return JsonResponse({"sentence": sentence})
