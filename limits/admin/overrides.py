"""Overrides: a page of their own, and inline in their client."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet, Subquery
from django.forms import BaseInlineFormSet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import StackedInline
from unfold.decorators import display
from unfold.utils import display_for_label

from limits.admin.base import PlatformModelAdmin
from limits.admin.help import Introduced
from limits.admin.inline_rows import InlineRow
from limits.admin.limits import OverrideLimitInline
from limits.admin.publishing import PublishesClients
from limits.admin.row_history import ShowsHistory
from limits.domain.client import Override as Span
from limits.domain.client import microseconds
from limits.domain.validation import overlapping
from limits.domain.wording import limits_sentence
from limits.domain.words import Mode
from limits.models import Override, OverrideLimit, Plan
from limits.models.overrides import overlap_message

_FIELDS = ("policy", "starts_at", "ends_at", "reason")
_APPLIES_COLOURS = {"yes": "success", "not yet": "info", "ended": "info", "no": "warning"}


class OverrideForm(InlineRow):
    """An override whose limits are typed is not an empty one."""

    def has_changed(self) -> bool:
        nested = getattr(self, "nested_formsets", ())
        return super().has_changed() or any(each.formset.has_changed() for each in nested)


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
        deleted = set(self.deleted_forms)
        kept = [form for form in self.forms if form not in deleted and _is_filled_in(form)]
        for form, other in clashing(kept):
            form.add_error("starts_at", overlap_message(other.instance))


def clashing(forms: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Yields each form whose override is in force together with one of the same policy before it, and that one."""
    groups: defaultdict[int, list[Any]] = defaultdict(list)
    for form in forms:
        groups[form.instance.policy_id].append(form)
    for group in groups.values():
        pairs = overlapping([_span(form.instance) for form in group])
        yield from ((group[later], group[earlier]) for later, earlier in dict(pairs).items())


def _is_filled_in(form: Any) -> bool:
    return bool(form.is_valid() and form.instance.policy_id)


def _span(row: Override) -> Span:
    starts_at = microseconds(row.starts_at) if row.starts_at else None
    return Span(row.policy.slug, (), starts_at, microseconds(row.ends_at) if row.ends_at else None)


def with_plans(rows: QuerySet[Override]) -> QuerySet[Override]:
    """Overrides with what :func:`applies_now` looks at."""
    default = Plan.objects.filter(is_default=True).values("pk")[:1]
    return rows.select_related("client__plan", "policy__plan").annotate(default_plan=Subquery(default))


def applies_now(override: Override) -> tuple[str, str]:
    """“yes”, “not yet”, “ended” or “no”, and why not: empty but for “no”."""
    if reason := why_not(override):
        return "no", reason
    now = timezone.now()
    if override.starts_at and override.starts_at > now:
        return "not yet", ""
    return "ended" if override.ends_at and override.ends_at <= now else "yes", ""


def why_not(override: Override) -> str:
    """Why an override of :func:`with_plans` does not apply, whatever its times; empty where it does."""
    policy, client = override.policy, override.client
    if policy.mode == Mode.DISABLED:
        return f"the policy “{policy}” is disabled"
    plan = client.plan_id or override.default_plan  # type: ignore[attr-defined]
    if policy.plan_id in (None, plan):
        return ""
    return f"“{client}” is on {client.plan or 'the default plan'}, and the policy is for {policy.plan}"


def warn_where_none_applies(request: HttpRequest, keys: Iterable[int]) -> None:
    """Says which of these overrides were saved and have no effect yet: the client may move to that plan later."""
    for override in with_plans(Override.objects.filter(pk__in=list(keys))):
        if reason := why_not(override):
            messages.warning(
                request, f"The override of “{override.policy}” is saved, but does not apply now: {reason}."
            )


class OverrideInline(StackedInline):
    model = Override
    form = OverrideForm
    formset = OverrideFormSet
    fields = (*_FIELDS, "applies")
    readonly_fields = ("applies",)
    inlines = (OverrideLimitInline,)
    extra = 0
    verbose_name_plural = "overrides: this client's own limits in place of its plan's"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Override]:
        return with_plans(super().get_queryset(request))

    @display(description="Applies now")
    def applies(self, override: Override) -> str:
        if not override.pk:
            return "once it is saved"
        word, reason = applies_now(override)
        return f"{word}: {reason}" if reason else word


@admin.register(Override)
class OverrideAdmin(Introduced, ShowsHistory, PublishesClients, PlatformModelAdmin):
    introduction = (
        "A client's own limits in place of a policy's, for a time: a sale, a load test, a customer who pays for more. "
        "The quickest way to one is the client's page."
    )
    list_display = ("client", "policy", "limits_in_words", "starts_at", "ends_at", "applies", "reason")
    list_filter = ("policy",)
    list_select_related = ("client__plan", "policy__plan")
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
        return with_plans(super().get_queryset(request)).prefetch_related("limits")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return ["client"] if obj else []

    def save_model(self, request: HttpRequest, obj: Override, form: Any, change: bool) -> None:
        remember_author(request, [obj])
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        warn_where_none_applies(request, [form.instance.pk])

    @display(description="Applies now", header=True)
    def applies(self, override: Override) -> tuple[str, str]:
        """A label, and the reason below it: a label is one line, however long."""
        word, reason = applies_now(override)
        return display_for_label(word, "", _APPLIES_COLOURS), reason

    @display(description="Limits")
    def limits_in_words(self, override: Override) -> str:
        return limits_sentence(limit.as_domain() for limit in override.limits.all())


def remember_author(request: HttpRequest, rows: list[Any]) -> None:
    """Notes who made an override that is new."""
    for row in _new_overrides(rows):
        row.created_by = request.user  # type: ignore[assignment]


def _new_overrides(rows: list[Any]) -> Iterator[Override]:
    return (row for row in rows if isinstance(row, Override) and row.pk is None)
