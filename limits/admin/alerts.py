"""Alert rules, alerts, and the messages about them."""

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import TabularInline
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from limits.admin.alert_rule_form import AlertRuleFields, require_add_or_change, sentence_view
from limits.admin.base import HasIntroduction, PlatformModelAdmin
from limits.admin.channels import ChannelsField
from limits.admin.forms import ReadOnlyAdmin, form_page
from limits.admin.row_history import ShowsHistory
from limits.domain.descriptions import quantity
from limits.models import Alert, AlertRule, Client, Message
from limits.models.roles import HANDLE_ALERTS
from limits.monitoring import handling
from limits.monitoring.messages import format_value, headline, write_test
from ratelimit_enforcer.domain.dates import date_and_time
from ratelimit_enforcer.domain.enums import GroupBy

_ABOUT_SILENCE = (
    "A silence applies to this rule and subject even if the alert resolves and reopens. If the alert is open when the "
    "silence ends, a notification is sent."
)
_STATE_COLOURS = {"open": "danger", "acknowledged": "warning", "silenced": "info", "resolved": "success"}


class LinesField(forms.CharField):
    """A field for several values, one per line."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}), **options)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        return list(dict.fromkeys(self._parts(super().clean(value))))

    def _parts(self, text: str) -> list[str]:
        return [line.strip() for line in text.split("\n") if line.strip()]


class AddressesField(LinesField):
    """A field for email addresses, one per line; commas and spaces, which no address contains, separate them too."""

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
            raise forms.ValidationError(f"“{address}” is not a valid email address.") from error


class AlertRuleForm(AlertRuleFields):
    emails = AddressesField(required=False, help_text="One email address per line.")
    webhooks = LinesField(
        required=False,
        help_text="One URL per line, starting with https://. Each receives a signed POST request. Addresses in "
        "private networks are rejected unless WEBHOOK_ALLOWED_NETWORKS lists the network.",
    )
    channels = ChannelsField(
        required=False, label="Channels", help_text="Slack, Microsoft Teams, PagerDuty and others."
    )


@admin.register(AlertRule)
class AlertRuleAdmin(HasIntroduction, ShowsHistory, PlatformModelAdmin):
    introduction = "Rules that notify people or programs when, for example, a client is denied fifty times in a minute."
    article = "an"
    form = AlertRuleForm
    list_display = ("name", "sentence_text", "recipients", "open_alerts")
    list_select_related = ("plan", "endpoint", "policy")
    search_fields = ("name",)
    autocomplete_fields = ("endpoint", "policy")
    fieldsets = (
        (None, {"fields": ("name", "metric", "threshold", "min_requests", "window", "group_by")}),
        ("Filters", {"fields": ("client_key", "plan", "endpoint", "policy")}),
        ("Notifications", {"fields": ("emails", "webhooks", "channels", "cooldown", "notify_resolved")}),
    )
    actions_detail = ("send_test",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self._sentence)
        return [path("sentence/", view, name="limits_alertrule_sentence"), *super().get_urls()]

    def _sentence(self, request: HttpRequest) -> HttpResponse:
        require_add_or_change(self, request)
        return sentence_view(request, self.get_form(request))

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
                request,
                f"A test message to {_recipients(rule)} will be sent within ten seconds. The list shows the result.",
            )
            return HttpResponseRedirect(reverse("admin:limits_message_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Send a test message for “{rule}”",
            "opts": AlertRule._meta,
            "rule": rule,
            "recipients": _recipients(rule),
        }
        return TemplateResponse(request, "admin/limits/alertrule/test.html", context)

    @display(description="Condition")
    def sentence_text(self, rule: AlertRule) -> str:
        return rule.sentence

    @display(description="Recipients")
    def recipients(self, rule: AlertRule) -> str:
        return _recipients(rule)

    @display(description="Open alerts")
    def open_alerts(self, rule: AlertRule) -> int:
        return sum(alert.resolved_at is None for alert in rule.alerts.all())


def _recipients(rule: AlertRule) -> str:
    return ", ".join([*rule.emails, *rule.webhooks, *rule.channels])


class MessageInline(ReadOnlyAdmin, TabularInline):
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

    @display(description="Created")
    def created_at(self, link: Any) -> str:
        return date_and_time(link.message.created_at)

    @display(description="State")
    def state(self, link: Any) -> str:
        return str(link.message.state)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("message").order_by("-message__created_at")


class HandleForm(forms.Form):
    """The form to acknowledge or silence an alert, or to resume its notifications."""

    action = forms.ChoiceField(choices=handling.ACTIONS, widget=UnfoldAdminSelectWidget())


@admin.register(Alert)
class AlertAdmin(HasIntroduction, ReadOnlyAdmin, PlatformModelAdmin):
    introduction = "An alert stays open while the condition of its rule is met, and then resolves automatically."
    when_empty = "They appear when the condition of an alert rule is met."
    list_display = ("rule", "group_name", "value_text", "highest_text", "opened_at", "resolved_at", "state")
    list_filter = ("rule", ("resolved_at", admin.EmptyFieldListFilter))
    list_select_related = ("rule",)
    search_fields = ("rule__name", "group")
    fields = readonly_fields = (
        *("rule", "group_name", "state_text", "value_text", "highest_text"),
        *("opened_at", "last_fired_at", "resolved_at", "notified_at"),
    )
    change_form_outer_before_template = "admin/limits/alert/page.html"
    show_full_result_count = False
    inlines = (MessageInline,)
    actions = ("acknowledge_selected",)
    actions_detail = ("handle",)

    def has_handle_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Alerts are not editable; users with the change permission may acknowledge and silence them."""
        return request.user.has_perm(f"limits.{HANDLE_ALERTS}")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        alert = Alert.objects.select_related("rule").filter(pk=object_id).first()
        key = client_key_of(alert) if alert else ""
        client = Client.objects.filter(key=key).first() if key else None
        context = {"client_key": key, "client": client, "alert_pk": alert.pk if alert else None}
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    @action(description="Acknowledge", permissions=["handle"])
    def acknowledge_selected(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        count = handling.acknowledge(queryset, request.user.get_username(), timezone.now())
        messages.success(request, f"Acknowledged {quantity(count, 'alert')}: no more notifications until resolved.")

    @action(description="Acknowledge or silence…", url_path="handle", permissions=["handle"])
    def handle(self, request: HttpRequest, object_id: int) -> HttpResponse:
        alert = get_object_or_404(Alert.objects.select_related("rule"), pk=object_id)
        form = HandleForm(request.POST or None, initial={"action": request.GET.get("action", "")})
        back = reverse("admin:limits_alert_change", args=[object_id])
        if request.method == "POST" and form.is_valid():
            messages.success(request, _handle(request, alert, form.cleaned_data["action"]))
            return HttpResponseRedirect(back)
        return form_page(
            request,
            self.admin_site,
            form,
            title=f"Acknowledge or silence “{alert}”",
            submit="Apply",
            back=back,
            opts=Alert._meta,
            intro=[f"{headline(alert)}. The alert is {self.state_text(alert)}.", _ABOUT_SILENCE],
        )

    @display(description="Subject")
    def group_name(self, alert: Alert) -> str:
        return alert.group_name

    @display(description="Latest value", ordering="value")
    def value_text(self, alert: Alert) -> str:
        return format_value(alert.value, alert.rule)

    @display(description="Highest value", ordering="highest")
    def highest_text(self, alert: Alert) -> str:
        return format_value(alert.highest, alert.rule)

    @display(description="State", label=_STATE_COLOURS)
    def state(self, alert: Alert) -> str:
        return alert.state.value

    @display(description="State")
    def state_text(self, alert: Alert) -> str:
        if alert.state is Alert.State.ACKNOWLEDGED and alert.acknowledged_at:
            return f"acknowledged by {alert.acknowledged_by}, {date_and_time(alert.acknowledged_at)}"
        if alert.state is Alert.State.SILENCED and alert.silenced_until:
            return f"silenced until {date_and_time(alert.silenced_until)}{_by_whom(alert)}"
        return alert.state.value


def _by_whom(alert: Alert) -> str:
    author = f", by {alert.silenced_by}" if alert.silenced_by else ""
    return f"{author}: {alert.silence_reason}" if alert.silence_reason else author


def client_key_of(alert: Alert) -> str:
    """Returns the key of the client that an alert is about; empty if it is not about a single client."""
    if alert.rule.group_by == GroupBy.CLIENT:
        return alert.group
    return "" if alert.rule.group_by else alert.rule.client_key


def _handle(request: HttpRequest, alert: Alert, action: str) -> str:
    """Performs the action and returns the message for the user."""
    selected, now = Alert.objects.filter(pk=alert.pk), timezone.now()
    if action == handling.ACKNOWLEDGE:
        if not handling.acknowledge(selected, request.user.get_username(), now):
            return "The alert was already acknowledged or resolved."
        return "Acknowledged: no more notifications until the alert resolves."
    if action == handling.RESUME:
        handling.resume(selected)
        return "Notifications resumed."
    until = handling.end_of_silence(action, now)
    handling.silence(selected, until, request.user.get_username())
    return f"Silenced until {date_and_time(until)}, even if the alert resolves and reopens."


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin, PlatformModelAdmin):
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
    """Returns the number of open alerts for the menu; None instead of 0."""
    return Alert.objects.filter(resolved_at=None).count() or None
