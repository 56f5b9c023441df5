"""Overrides: a separate page, and inline in their client."""

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

from limits.admin.base import HasIntroduction, PlatformModelAdmin, SearchesByBeginning
from limits.admin.forms import DATE_FIELDS, InlineRow
from limits.admin.limits import OverrideLimitInline
from limits.admin.publishing import PublishesClients
from limits.admin.row_history import ShowsHistory
from limits.domain.descriptions import dates_state, limits_sentence
from limits.models import Override, OverrideLimit, Plan, SegmentOverride
from limits.models.clients import overlap_message
from ratelimit_enforcer.domain.client import Override as OverrideRecord
from ratelimit_enforcer.domain.dates import optional_microseconds
from ratelimit_enforcer.domain.enums import Mode
from ratelimit_enforcer.domain.validation import overlapping

_FIELDS = ("policy", "starts_at", "ends_at", "reason")
STATE_COLOURS = {"active": "success", "scheduled": "info", "ended": "info", "without effect": "warning"}


class OverrideForm(InlineRow):
    """An override with limits filled in is not treated as an empty row."""

    def has_changed(self) -> bool:
        nested = getattr(self, "nested_formsets", ())
        return super().has_changed() or any(each.formset.has_changed() for each in nested)


class OverrideFormSet(BaseInlineFormSet):
    """Rejects overlapping overrides of one policy, also among those submitted together."""

    def full_clean(self) -> None:
        if self.is_bound:
            together = {form.instance.pk for form in self.initial_forms}
            for form in self.forms:
                form.instance.edited_together = together
        super().full_clean()

    def clean(self) -> None:
        super().clean()
        deleted = set(self.deleted_forms)
        rows = [form for form in self.forms if form not in deleted and _is_filled_in(form)]
        for form, other in overlapping_forms(rows):
            form.add_error("starts_at", overlap_message(other.instance))


def overlapping_forms(forms: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Yields each form whose override overlaps with that of an earlier form for the same policy, and the
    earlier form."""
    groups: defaultdict[int, list[Any]] = defaultdict(list)
    for form in forms:
        groups[form.instance.policy_id].append(form)
    for group in groups.values():
        pairs = overlapping([_record(form.instance) for form in group])
        yield from ((group[later], group[earlier]) for later, earlier in dict(pairs).items())


def _is_filled_in(form: Any) -> bool:
    return bool(form.is_valid() and form.instance.policy_id)


def _record(row: Override) -> OverrideRecord:
    return OverrideRecord(row.policy.slug, (), optional_microseconds(row.starts_at), optional_microseconds(row.ends_at))


def with_plans(rows: QuerySet[Override]) -> QuerySet[Override]:
    """Returns the overrides with the related rows that :func:`state_of` needs."""
    default = Plan.objects.filter(is_default=True).values("pk")[:1]
    return rows.select_related("client__plan", "policy__plan").annotate(default_plan=Subquery(default))


def state_of(override: Override) -> tuple[str, str]:
    """Returns “scheduled”, “active”, “ended” or “without effect”, and the reason: empty except for the last."""
    if reason := inactive_reason(override):
        return "without effect", reason
    return dates_state(override.starts_at, override.ends_at, timezone.now()), ""


def inactive_reason(override: Override) -> str:
    """Returns why an override from :func:`with_plans` does not apply, regardless of its times; empty if it
    does."""
    policy, client = override.policy, override.client
    if policy.mode == Mode.DISABLED:
        return f"the policy “{policy}” is disabled"
    default = override.default_plan if client.parent_id is None else None  # type: ignore[attr-defined]
    if policy.plan_id in (None, client.plan_id or default):
        return ""
    if client.plan is None and client.parent_id is not None:
        return f"“{client}” has a parent and no plan, but the policy is for {policy.plan}"
    return f"“{client}” is on {client.plan or 'the default plan'}, but the policy is for {policy.plan}"


def warn_about_inactive(request: HttpRequest, keys: Iterable[int]) -> None:
    """Warns about overrides that were saved but have no effect yet: the client may move to that plan later."""
    for override in with_plans(Override.objects.filter(pk__in=list(keys))):
        if reason := inactive_reason(override):
            messages.warning(
                request, f"The override of “{override.policy}” was saved, but does not apply now: {reason}."
            )


class OverrideInline(StackedInline):
    model = Override
    form = OverrideForm
    formset = OverrideFormSet
    fields = (*_FIELDS, "state")
    readonly_fields = ("state",)
    inlines = (OverrideLimitInline,)
    formfield_overrides = DATE_FIELDS
    extra = 0
    verbose_name_plural = "overrides: limits of this client that replace those of a policy"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Override]:
        return with_plans(super().get_queryset(request))

    @display(description="State")
    def state(self, override: Override) -> str:
        if not override.pk:
            return "after saving"
        answer, reason = state_of(override)
        return f"{answer}: {reason}" if reason else answer


@admin.register(Override)
class OverrideAdmin(HasIntroduction, ShowsHistory, SearchesByBeginning, PublishesClients, PlatformModelAdmin):
    introduction = (
        "Individual limits of a client that replace those of a policy, for example during a sale or a load test. The "
        "quickest way to add an override is on the client's page."
    )
    list_display = ("client", "policy", "limits_text", "starts_at", "ends_at", "state", "reason")
    article = "an"
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
        set_author(request, [obj])
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        warn_about_inactive(request, [form.instance.pk])

    @display(description="State", header=True)
    def state(self, override: Override) -> tuple[str, str]:
        """Returns a label, and the reason below it: a label is a single line."""
        answer, reason = state_of(override)
        return display_for_label(answer, "", STATE_COLOURS), reason

    @display(description="Limits")
    def limits_text(self, override: Override) -> str:
        return limits_sentence(limit.as_domain() for limit in override.limits.all())


def set_author(request: HttpRequest, rows: list[Any]) -> None:
    """Records the author of new overrides."""
    for row in _new_overrides(rows):
        row.created_by = request.user  # type: ignore[assignment]


def _new_overrides(rows: list[Any]) -> Iterator[Override | SegmentOverride]:
    return (row for row in rows if isinstance(row, (Override, SegmentOverride)) and row.pk is None)
