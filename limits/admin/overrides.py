"""Overrides: a page of their own, and inline in their client."""

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.forms import BaseInlineFormSet
from django.http import HttpRequest
from unfold.admin import StackedInline
from unfold.decorators import display

from limits.admin.base import PlatformModelAdmin
from limits.admin.help import Introduced
from limits.admin.limits import OverrideLimitInline
from limits.admin.publishing import PublishesClients
from limits.admin.row_history import ShowsHistory
from limits.domain.client import Override as Span
from limits.domain.client import microseconds
from limits.domain.validation import overlaps
from limits.domain.wording import limits_sentence
from limits.models import Override, OverrideLimit
from limits.models.overrides import overlap_message

_FIELDS = ("policy", "starts_at", "ends_at", "reason")


class OverrideFormSet(BaseInlineFormSet):
    """No two overrides of one policy at one time, also among those typed together."""

    def full_clean(self) -> None:
        if self.is_bound:
            together = {form.instance.pk for form in self.initial_forms}
            for form in self.forms:
                form.instance.edited_together = together
        super().full_clean()

    def clean(self) -> None:
        super().clean()
        kept = [form for form in self.forms if form not in self.deleted_forms and _is_filled_in(form)]
        for first, second in combinations(kept, 2):
            if overlaps(_span(first.instance), _span(second.instance)):
                second.add_error("starts_at", overlap_message(first.instance))


def _is_filled_in(form: Any) -> bool:
    return bool(form.is_valid() and form.instance.policy_id)


def _span(row: Override) -> Span:
    starts_at = microseconds(row.starts_at) if row.starts_at else None
    return Span(row.policy.slug, (), starts_at, microseconds(row.ends_at) if row.ends_at else None)


class OverrideInline(StackedInline):
    model = Override
    formset = OverrideFormSet
    fields = _FIELDS
    inlines = (OverrideLimitInline,)
    extra = 0
    verbose_name_plural = "overrides: this client's own limits in place of its plan's"


@admin.register(Override)
class OverrideAdmin(Introduced, ShowsHistory, PublishesClients, PlatformModelAdmin):
    introduction = (
        "A client's own limits in place of a policy's, for a time: a sale, a load test, a customer who pays for more. "
        "The quickest way to one is the client's page."
    )
    list_display = ("client", "policy", "limits_in_words", "starts_at", "ends_at", "reason")
    list_filter = ("policy",)
    list_select_related = ("client", "policy")
    search_fields = ("^client__key", "^client__name")
    show_full_result_count = False
    fields = ("client", *_FIELDS)
    autocomplete_fields = ("client",)
    inlines = (OverrideLimitInline,)

    def history_of_parts(self, pk: object) -> Iterable[QuerySet[Any]]:
        return [OverrideLimit.history.filter(override_id=pk)]

    def client_keys_of(self, queryset: QuerySet[Override]) -> list[str]:
        return list(queryset.values_list("client__key", flat=True))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Override]:
        return super().get_queryset(request).prefetch_related("limits")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return ["client"] if obj else []

    def save_model(self, request: HttpRequest, obj: Override, form: Any, change: bool) -> None:
        remember_author(request, [obj])
        super().save_model(request, obj, form, change)

    @display(description="Limits")
    def limits_in_words(self, override: Override) -> str:
        return limits_sentence(limit.as_domain() for limit in override.limits.all())


def remember_author(request: HttpRequest, rows: list[Any]) -> None:
    """Notes who made an override that is new."""
    for row in _new_overrides(rows):
        row.created_by = request.user  # type: ignore[assignment]


def _new_overrides(rows: list[Any]) -> Iterator[Override]:
    return (row for row in rows if isinstance(row, Override) and row.pk is None)
