"""Segment overrides: limits of all clients with some tags, on a plan or with a key prefix."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Case, IntegerField, QuerySet, Subquery, When
from django.http import HttpRequest
from django.utils import timezone
from unfold.decorators import display
from unfold.utils import display_for_label

from limits.admin.base import MAX_COUNTED_ROWS, HasIntroduction, PlatformModelAdmin
from limits.admin.drafts import WorksOnDraft
from limits.admin.forms import TagsField
from limits.admin.limits import SegmentOverrideLimitInline
from limits.admin.overrides import STATE_COLOURS, set_author
from limits.admin.publishing import PublishesRules, message_on_commit
from limits.admin.row_history import ShowsHistory
from limits.admin.whom import Answer, WhomForm, shown_if_chosen
from limits.domain.descriptions import dates_state, limits_sentence
from limits.models import Client, Plan, SegmentOverride, SegmentOverrideLimit
from limits.publishing.impact import clients_in
from ratelimit_enforcer.domain.enums import Mode
from ratelimit_enforcer.domain.validation import capitalized

_WHOM = {
    "tags": Answer("All clients with these tags", [], "Enter at least one tag."),
    "plan": Answer("All clients on a plan", None, "Choose a plan."),
    "prefix": Answer("All clients whose key begins with…", "", "Enter the beginning of the keys."),
}


class SegmentOverrideForm(WhomForm):
    answers = _WHOM
    tags = TagsField(
        required=False, help_text="Separated by spaces or commas. A client that has all of them is included."
    )


class _Count(Subquery):
    """The number of rows of a query."""

    template = "(SELECT count(*) FROM (%(subquery)s) AS counted)"
    output_field = IntegerField()


def client_counts(overrides: Iterable[SegmentOverride]) -> dict[int, int]:
    """Returns the number of registered clients that each override is for, by its key, counted up to just above
    ``MAX_COUNTED_ROWS``. Takes two queries."""
    default = Plan.objects.filter(is_default=True).values_list("slug", flat=True).first()
    counts = {
        each.pk: _Count(Client.objects.filter(clients_in(each.segment, default)).order_by()[: MAX_COUNTED_ROWS + 1])
        for each in overrides
    }
    if not counts:
        return {}
    count = Case(*(When(pk=pk, then=found) for pk, found in counts.items()))
    return dict(SegmentOverride.objects.filter(pk__in=counts).order_by().values_list("pk", count))


def inactive_reason(override: SegmentOverride) -> str:
    """Returns why an override does not apply to any client, regardless of its dates; empty if it may apply."""
    policy = override.policy
    if policy.mode == Mode.DISABLED:
        return f"the policy “{policy}” is disabled"
    if override.plan and policy.plan and override.plan != policy.plan:
        return f"the policy is for {policy.plan}"
    return ""


@admin.register(SegmentOverride)
class SegmentOverrideAdmin(HasIntroduction, WorksOnDraft, ShowsHistory, PublishesRules, PlatformModelAdmin):
    introduction = (
        "Limits that replace those of a policy for many clients at once: all with some tags, on a plan, or whose key "
        "begins with a prefix. An override of a single client takes precedence; then the longest prefix, the most "
        "tags, and the plan."
    )
    introduction_links = (("Overrides of single clients", "admin:limits_override_changelist"),)
    is_reviewed = True
    form = SegmentOverrideForm
    list_display = ("whom", "policy", "limits_text", "state", "clients", "reason")
    list_filter = ("policy",)
    list_select_related = ("plan", "policy__plan")
    search_fields = ("^prefix", "tags__icontains", "^plan__name", "reason")
    search_help_text = "Search by tag, plan, beginning of the key prefix, or reason"
    fieldsets = (
        (None, {"fields": ("whom", *_WHOM, "policy")}),
        ("Dates", {"fields": ("starts_at", "ends_at", "reason")}),
    )
    conditional_fields = shown_if_chosen(_WHOM)
    inlines = (SegmentOverrideLimitInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SegmentOverride]:
        return super().get_queryset(request).prefetch_related("limits")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Counts the clients of all rows of the page together."""
        changelist = super().get_changelist_instance(request)
        changelist.result_list = list(changelist.result_list)
        counts = client_counts(changelist.result_list)
        for row in changelist.result_list:
            row.client_count = counts[row.pk]
        return changelist

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Shows users who may only view it whom the override is for, in one line."""
        if obj is None or self.has_change_permission(request, obj):
            return super().get_fieldsets(request, obj)
        return ((None, {"fields": ("whom", "policy")}), *self.fieldsets[1:])

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Takes tags from the URL, as typed into the form."""
        given = super().get_changeform_initial_data(request)
        return given | ({"tags": request.GET["tags"]} if "tags" in request.GET else {})

    def history_of_parts(self, pk: object) -> Iterable[QuerySet[Any]]:
        return [SegmentOverrideLimit.history.filter(override_id=pk)]

    def save_model(self, request: HttpRequest, obj: SegmentOverride, form: Any, change: bool) -> None:
        set_author(request, [obj])
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if reason := inactive_reason(form.instance):
            message_on_commit(request, messages.WARNING, f"The override does not apply now: {reason}.")

    @display(description="For")
    def whom(self, override: SegmentOverride) -> str:
        return capitalized(str(override.segment))

    @display(description="Limits")
    def limits_text(self, override: SegmentOverride) -> str:
        return limits_sentence(limit.as_domain() for limit in override.limits.all())

    @display(description="State", ordering="starts_at", header=True)
    def state(self, override: SegmentOverride) -> tuple[str, str]:
        """Returns a label, and the dates below it, or the reason why the override has no effect."""
        reason = inactive_reason(override)
        label = "without effect" if reason else dates_state(override.starts_at, override.ends_at, timezone.now())
        return display_for_label(label, "", STATE_COLOURS), reason or override.dates

    @display(description="Registered clients")
    def clients(self, override: SegmentOverride) -> str:
        count: int = override.client_count  # type: ignore[attr-defined]
        return f"{count:,}" if count <= MAX_COUNTED_ROWS else f"more than {MAX_COUNTED_ROWS:,}"
