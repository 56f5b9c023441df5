"""Limits, inline in their policy or override."""

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ValidationError
from django.forms import BaseInlineFormSet, ModelForm
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminSelectWidget

from limits.domain.calendar import DEFAULT_TIMEZONE, timezones
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
                form.add_error("window", f"Another limit is named “{label}” already.")
            labels.add(label)

    def save_new(self, form: Any, commit: bool = True) -> Any:
        form.instance.position = self.forms.index(form)
        return super().save_new(form, commit)


def _is_kept(formset: Any, form: Any) -> bool:
    """Whether a row of the form is filled in, valid and not to be deleted."""
    deleted = formset.can_delete and formset._should_delete_form(form)
    return bool(form.has_changed() or form.instance.pk) and not deleted and form.is_valid()


class LimitForm(ModelForm):
    """A limit with the time zones of this machine to choose from."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zone = self.fields["timezone"]
        names = timezones() | {self.instance.timezone or DEFAULT_TIMEZONE}
        zone.widget = UnfoldAdminSelectWidget(choices=[("", f"{DEFAULT_TIMEZONE} or none"), *_choices(names)])


def _choices(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, name) for name in sorted(names)]


class _LimitInline(TabularInline):
    form = LimitForm
    formset = LimitFormSet
    fields = ("quota", "window", "algorithm", "burst", "period", "timezone")
    extra = 0
    min_num = 1
    verbose_name = "limit"
    verbose_name_plural = "limits: a request has to fit every one of them"


class PolicyLimitInline(_LimitInline):
    model = PolicyLimit


class OverrideLimitInline(_LimitInline):
    model = OverrideLimit
