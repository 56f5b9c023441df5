"""Alert rules, what fired, and the messages about it."""

import json
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import TabularInline
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from limits.admin.base import PlatformModelAdmin
from limits.admin.fields import NobodyEdits
from limits.admin.help import Introduced
from limits.admin.row_history import ShowsHistory
from limits.domain.words import GroupBy
from limits.models import Alert, AlertRule, Client, Message
from limits.models.roles import HANDLE_ALERTS
from limits.monitoring.messages import in_words, write_test

_STATE_COLOURS = {"open": "danger", "acknowledged": "warning", "silenced": "info", "resolved": "success"}


class LinesField(forms.CharField):
    """Several values, one in a line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}), **options)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        return list(dict.fromkeys(self._parts(super().clean(value))))

    def _parts(self, text: str) -> list[str]:
        return [line.strip() for line in text.split("\n") if line.strip()]


class AddressesField(LinesField):
    """Mail addresses, one in a line; commas and spaces, which no address contains, separate them too."""

    def _parts(self, text: str) -> list[str]:
        return text.replace(",", " ").split()

    def clean(self, value: Any) -> list[str]:
        addresses = super().clean(value)
        for address in addresses:
            self._validate(address)
        return addresses

    def _validate(self, address: str) -> None:
        try:
            validate_email(address)
        except forms.ValidationError as error:
            raise forms.ValidationError(f"“{address}” is not a mail address.") from error


class AlertRuleForm(forms.ModelForm):
    emails = AddressesField(required=False, help_text="Who gets the mail; one address in a line.")
    webhooks = LinesField(
        required=False,
        help_text="Addresses that get a signed POST, one in a line: https://… They may not lead into a private "
        "network, unless WEBHOOK_ALLOWED_NETWORKS names it.",
    )


@admin.register(AlertRule)
class AlertRuleAdmin(Introduced, ShowsHistory, PlatformModelAdmin):
    introduction = "Who is told when, for example, one client is denied fifty times in a minute."
    form = AlertRuleForm
    list_display = ("name", "sentence_in_words", "addresses", "open_alerts")
    list_select_related = ("plan", "endpoint", "policy")
    search_fields = ("name",)
    autocomplete_fields = ("endpoint", "policy")
    fieldsets = (
        (None, {"fields": ("name", "metric", "threshold", "min_requests", "window", "group_by")}),
        ("Only these requests", {"fields": ("client_key", "plan", "endpoint", "policy")}),
        ("Who is told", {"fields": ("emails", "webhooks", "cooldown", "notify_resolved")}),
    )
    actions_detail = ("send_test",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AlertRule]:
        return super().get_queryset(request).prefetch_related("alerts")

    @action(description="Send a test message…", url_path="test", permissions=["change"])
    def send_test(self, request: HttpRequest, object_id: int) -> HttpResponse:
        rule = get_object_or_404(AlertRule, pk=object_id)
        if request.method == "POST":
            with transaction.atomic():
                for destination in rule.destinations:
                    write_test(*destination, rule, timezone.now())
            messages.success(
                request, f"A test goes to {_whom(rule)} within ten seconds; this list says what became of it."
            )
            return HttpResponseRedirect(reverse("admin:limits_message_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Send a test message of “{rule}”",
            "opts": AlertRule._meta,
            "rule": rule,
            "whom": _whom(rule),
        }
        return TemplateResponse(request, "admin/limits/alertrule/test.html", context)

    @display(description="Fires at")
    def sentence_in_words(self, rule: AlertRule) -> str:
        return rule.sentence

    @display(description="Tells")
    def addresses(self, rule: AlertRule) -> str:
        return _whom(rule)

    @display(description="Open alerts")
    def open_alerts(self, rule: AlertRule) -> int:
        return sum(alert.resolved_at is None for alert in rule.alerts.all())


def _whom(rule: AlertRule) -> str:
    return ", ".join([*rule.emails, *rule.webhooks])


class MessageInline(NobodyEdits, TabularInline):
    model = Message.alerts.through
    fields = readonly_fields = ("subject", "destination", "created_at", "state")
    verbose_name_plural = "messages"
    extra = 0
    hide_title = True

    @display(description="Subject")
    def subject(self, link: Any) -> str:
        return str(link.message.subject)

    @display(description="To")
    def destination(self, link: Any) -> str:
        return str(link.message.destination)

    @display(description="Written")
    def created_at(self, link: Any) -> str:
        return f"{link.message.created_at:%F %T}"

    @display(description="State")
    def state(self, link: Any) -> str:
        return str(link.message.state)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("message").order_by("-message__created_at")


class HandleForm(forms.Form):
    """What somebody does about an alert."""

    ACKNOWLEDGE, LIFT = "acknowledge", "lift"
    CHOICES = (
        (ACKNOWLEDGE, "Acknowledge: no more messages until it is over"),
        ("1", "Silence for an hour"),
        ("4", "Silence for four hours"),
        ("24", "Silence for a day"),
        ("168", "Silence for a week"),
        (LIFT, "Lift: it makes messages again"),
    )

    what = forms.ChoiceField(choices=CHOICES, widget=UnfoldAdminSelectWidget())


@admin.register(Alert)
class AlertAdmin(Introduced, NobodyEdits, PlatformModelAdmin):
    introduction = "What alert rules found. An alert stays open while its rule fires, and is resolved by itself."
    list_display = ("rule", "group_name", "value_in_words", "highest_in_words", "opened_at", "resolved_at", "state")
    list_filter = ("rule", ("resolved_at", admin.EmptyFieldListFilter))
    list_select_related = ("rule",)
    search_fields = ("rule__name", "group")
    fields = readonly_fields = (
        *("rule", "group_name", "state_in_words", "value_in_words", "highest_in_words"),
        *("opened_at", "last_fired_at", "resolved_at", "told_at"),
    )
    change_form_outer_before_template = "admin/limits/alert/page.html"
    show_full_result_count = False
    inlines = (MessageInline,)
    actions = ("acknowledge_selected",)
    actions_detail = ("handle",)

    def has_handle_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody edits an alert; who may change alerts may say that they look after it."""
        return request.user.has_perm(f"limits.{HANDLE_ALERTS}")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        alert = Alert.objects.select_related("rule").filter(pk=object_id).first()
        caller = caller_of(alert) if alert else None
        return super().change_view(request, object_id, form_url, {"caller": caller, **(extra_context or {})})

    @action(description="Acknowledge", permissions=["handle"])
    def acknowledge_selected(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        count = _acknowledge(request, queryset)
        messages.success(request, f"{count:,} alerts acknowledged: no more messages until they are over.")

    @action(description="Acknowledge or silence…", url_path="handle", permissions=["handle"])
    def handle(self, request: HttpRequest, object_id: int) -> HttpResponse:
        alert = get_object_or_404(Alert.objects.select_related("rule"), pk=object_id)
        form = HandleForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            messages.success(request, _handle(request, alert, form.cleaned_data["what"]))
            return HttpResponseRedirect(reverse("admin:limits_alert_change", args=[object_id]))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Acknowledge or silence “{alert}”",
            "opts": Alert._meta,
            "alert": alert,
            "form": form,
        }
        return TemplateResponse(request, "admin/limits/alert/handle.html", context)

    @display(description="Whom or what")
    def group_name(self, alert: Alert) -> str:
        return alert.group_name

    @display(description="Last", ordering="value")
    def value_in_words(self, alert: Alert) -> str:
        return in_words(alert.value, alert.rule)

    @display(description="Highest", ordering="highest")
    def highest_in_words(self, alert: Alert) -> str:
        return in_words(alert.highest, alert.rule)

    @display(description="State", label=_STATE_COLOURS)
    def state(self, alert: Alert) -> str:
        return alert.state.value

    @display(description="State")
    def state_in_words(self, alert: Alert) -> str:
        match alert.state:
            case Alert.State.ACKNOWLEDGED:
                return f"acknowledged by {alert.acknowledged_by}, {alert.acknowledged_at:%F %R} UTC"
            case Alert.State.SILENCED:
                return f"silenced until {alert.silenced_until:%F %R} UTC"
        return alert.state.value


def caller_of(alert: Alert) -> tuple[str, Client | None] | None:
    """The caller that an alert is about, with its row where it is registered; None: it is about no single one."""
    if alert.rule.group_by == GroupBy.CLIENT and alert.group:
        key = alert.group
    elif not alert.rule.group_by and alert.rule.client_key:
        key = alert.rule.client_key
    else:
        return None
    return key, Client.objects.filter(key=key).first()


def _handle(request: HttpRequest, alert: Alert, what: str) -> str:
    """Does it, and returns what to say."""
    this_one = Alert.objects.filter(pk=alert.pk)
    if what == HandleForm.ACKNOWLEDGE:
        _acknowledge(request, this_one)
        return "Acknowledged: no more messages about this alert until it is over."
    if what == HandleForm.LIFT:
        this_one.update(silenced_until=None, acknowledged_at=None, acknowledged_by="")
        return "It makes messages again."
    until = timezone.now() + timedelta(hours=int(what))
    this_one.update(silenced_until=until)
    return f"Silenced until {until:%F %R} UTC, even if it resolves and opens again."


def _acknowledge(request: HttpRequest, alerts: QuerySet[Alert]) -> int:
    who = request.user.get_username()
    unanswered = alerts.filter(resolved_at=None, acknowledged_at=None)
    return unanswered.update(acknowledged_at=timezone.now(), acknowledged_by=who)


@admin.register(Message)
class MessageAdmin(NobodyEdits, PlatformModelAdmin):
    list_display = ("subject", "channel", "destination", "created_at", "state")
    list_filter = ("channel", "kind", ("sent_at", admin.EmptyFieldListFilter))
    search_fields = ("destination", "subject")
    fields = readonly_fields = (
        "subject",
        "kind",
        "channel",
        "destination",
        "created_at",
        "state",
        "message_id",
        "content",
    )
    show_full_result_count = False

    @display(description="State")
    def state(self, message: Message) -> str:
        return message.state

    @display(description="Content")
    def content(self, message: Message) -> str:
        text = message.text or json.dumps(message.payload, indent=2, ensure_ascii=False)
        return format_html('<pre style="white-space: pre-wrap">{}</pre>', text.strip())


def open_alerts(request: HttpRequest) -> int | None:
    """How many alerts are open, for the menu; None: none."""
    return Alert.objects.filter(resolved_at=None).count() or None
