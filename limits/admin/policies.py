"""Policies, with their limits inline."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import URLPattern, path
from unfold.decorators import display

from limits.admin.base import PlatformModelAdmin
from limits.admin.comparison import BackToComparison
from limits.admin.fields import SlugKept
from limits.admin.help import Introduced
from limits.admin.limits import PolicyLimitInline, sentence_view
from limits.admin.publishing import PublishesRules
from limits.admin.row_history import ShowsHistory
from limits.domain.words import Mode, OnStoreFailure, Partition
from limits.models import Policy, PolicyLimit

_MODE_COLOURS = {"enforce": "success", "shadow": "warning", "disabled": "danger"}


_WORDS: dict[str, list[tuple[str, str]]] = {
    "mode": [
        (Mode.ENFORCE, "enforce: deny what is over the limit"),
        (Mode.SHADOW, "shadow: only report what would be denied"),
        (Mode.DISABLED, "disabled: do nothing"),
    ],
    "partition": [
        (Partition.CLIENT, "each client by itself"),
        (Partition.GLOBAL, "all clients together, to protect the endpoint"),
    ],
    "on_store_failure": [
        (OnStoreFailure.LOCAL, "go on: each server with its share of the quota"),
        (OnStoreFailure.ALLOW, "admit every request"),
        (OnStoreFailure.DENY, "refuse every request"),
    ],
}
"""What can be chosen, as people say it."""


class PolicyForm(ModelForm):
    """Choices that explain themselves."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in _WORDS.keys() & self.fields.keys():
            self.fields[name].choices = [(str(value), label) for value, label in _WORDS[name]]  # type: ignore[attr-defined]
            self.fields[name].help_text = ""


@admin.register(Policy)
class PolicyAdmin(BackToComparison, Introduced, ShowsHistory, SlugKept, PublishesRules, PlatformModelAdmin):
    introduction = (
        "How much a plan's clients may use of an endpoint. Every policy that matches a request counts, and a request "
        "has to fit all of them."
    )
    introduction_links = (("See the plans side by side.", "admin:limits_plan_compare"),)
    is_reviewed = True
    form = PolicyForm
    list_display = ("slug", "plan_or_every", "endpoint_or_all", "limits_in_words", "mode_label")
    list_filter = ("plan", "endpoint", "mode")
    list_select_related = ("plan", "endpoint")
    search_fields = ("slug", "name", "plan__name", "endpoint__name")
    slug_from = "name"
    fieldsets = (
        (None, {"fields": ("name", "slug", ("plan", "endpoint"))}),
        ("How it acts", {"fields": ("mode", "partition", "on_store_failure")}),
    )
    inlines = (PolicyLimitInline,)

    def get_urls(self) -> list[URLPattern]:
        sentence = path("sentence/", self.admin_site.admin_view(sentence_view), name="limits_policy_sentence")
        return [sentence, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Policy]:
        return super().get_queryset(request).prefetch_related("limits")

    def history_of_parts(self, pk: object) -> Iterable[QuerySet[Any]]:
        return [PolicyLimit.history.filter(policy_id=pk)]

    @display(description="Plan", ordering="plan__name")
    def plan_or_every(self, policy: Policy) -> str:
        return str(policy.plan) if policy.plan else "every plan"

    @display(description="Endpoint", ordering="endpoint__name")
    def endpoint_or_all(self, policy: Policy) -> str:
        return str(policy.endpoint) if policy.endpoint else "all requests"

    @display(description="Limits")
    def limits_in_words(self, policy: Policy) -> str:
        return policy.sentence

    @display(description="Mode", ordering="mode", label=_MODE_COLOURS)
    def mode_label(self, policy: Policy) -> str:
        return policy.mode
