"""Limits, inline in their policy or override."""

from typing import Any

from django.core.exceptions import ValidationError
from django.forms import BaseInlineFormSet
from unfold.admin import TabularInline

from limits.admin.fields import AvailableChoices
from limits.models import OverrideLimit, PolicyLimit


class LimitFormSet(BaseInlineFormSet):
    """At least one limit, and one for each algorithm and window."""

    def clean(self) -> None:
        super().clean()
        labels: set[str] = set()
        kept = [form for form in self.forms if _is_kept(self, form)]
        if self.is_bound and not kept and not any(self.errors):
            raise ValidationError("At least one limit is needed.")
        for form in kept:
            label = form.instance.as_domain().label
            if label in labels:
                form.add_error("window", "Another limit has this algorithm and window already.")
            labels.add(label)

    def save_new(self, form: Any, commit: bool = True) -> Any:
        form.instance.position = self.forms.index(form)
        return super().save_new(form, commit)


def _is_kept(formset: Any, form: Any) -> bool:
    """Whether a row of the form is filled in, valid and not to be deleted."""
    deleted = formset.can_delete and formset._should_delete_form(form)
    return bool(form.has_changed() or form.instance.pk) and not deleted and form.is_valid()


class _LimitInline(AvailableChoices, TabularInline):
    formset = LimitFormSet
    fields = ("quota", "window", "algorithm", "burst")
    extra = 0
    min_num = 1
    verbose_name = "limit"
    verbose_name_plural = "limits: a request has to fit every one of them"


class PolicyLimitInline(_LimitInline):
    model = PolicyLimit


class OverrideLimitInline(_LimitInline):
    model = OverrideLimit
