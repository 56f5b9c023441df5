"""Alert rules, what fired, and the mails about it."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.validators import validate_email
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from limits.admin.fields import AvailableChoices, NobodyEdits
from limits.admin.help import Introduced
from limits.admin.row_history import ShowsHistory
from limits.models import Alert, AlertMail, AlertRule


class AddressesField(forms.CharField):
    """Mail addresses, one in a line."""

    widget = UnfoldAdminTextareaWidget

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        addresses: list[str] = super().clean(value).replace(",", " ").split()
        for address in addresses:
            self._validate(address)
        return list(dict.fromkeys(addresses))

    def _validate(self, address: str) -> None:
        try:
            validate_email(address)
        except forms.ValidationError as error:
            raise forms.ValidationError(f"“{address}” is not a mail address.") from error


class AlertRuleForm(forms.ModelForm):
    emails = AddressesField(help_text="Who gets the mail; one address in a line.")


@admin.register(AlertRule)
class AlertRuleAdmin(Introduced, ShowsHistory, AvailableChoices, ModelAdmin):
    introduction = "Who gets a mail when, for example, one client is denied fifty times in a minute."
    form = AlertRuleForm
    list_display = ("name", "sentence_in_words", "addresses", "open_alerts")
    list_select_related = ("plan", "endpoint", "policy")
    search_fields = ("name",)
    autocomplete_fields = ("endpoint", "policy")
    fieldsets = (
        (None, {"fields": ("name", "metric", "threshold", "window", "group_by")}),
        ("Only these requests", {"fields": ("client_key", "plan", "endpoint", "policy")}),
        ("Who is told", {"fields": ("emails", "cooldown")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[AlertRule]:
        return super().get_queryset(request).prefetch_related("alerts")

    @display(description="Fires at")
    def sentence_in_words(self, rule: AlertRule) -> str:
        return rule.sentence

    @display(description="Mail to")
    def addresses(self, rule: AlertRule) -> str:
        return ", ".join(rule.emails)

    @display(description="Open alerts")
    def open_alerts(self, rule: AlertRule) -> int:
        return sum(alert.resolved_at is None for alert in rule.alerts.all())


class AlertMailInline(NobodyEdits, TabularInline):
    model = AlertMail
    fields = readonly_fields = ("subject", "recipients_in_words", "created_at", "state")
    verbose_name_plural = "mails"
    extra = 0

    @display(description="To")
    def recipients_in_words(self, mail: AlertMail) -> str:
        return ", ".join(mail.recipients)

    @display(description="State")
    def state(self, mail: AlertMail) -> str:
        if mail.sent_at:
            return f"sent {mail.sent_at:%F %T}"
        if mail.next_attempt_at is None:
            return f"given up after {mail.attempts} attempts: {mail.problem}"
        return f"waits for attempt {mail.attempts + 1}. {mail.problem}"


@admin.register(Alert)
class AlertAdmin(Introduced, NobodyEdits, ModelAdmin):
    introduction = "What alert rules found. An alert stays open while its rule fires, and is resolved by itself."
    list_display = ("rule", "group_name", "highest_in_words", "opened_at", "resolved_at", "state")
    list_filter = ("rule", ("resolved_at", admin.EmptyFieldListFilter))
    list_select_related = ("rule",)
    search_fields = ("rule__name", "group")
    fields = readonly_fields = ("rule", "group_name", "highest_in_words", "opened_at", "resolved_at")
    show_full_result_count = False
    inlines = (AlertMailInline,)

    @display(description="Whom or what")
    def group_name(self, alert: Alert) -> str:
        return alert.group_name

    @display(description="Highest", ordering="highest")
    def highest_in_words(self, alert: Alert) -> str:
        return f"{alert.highest:,.0f} requests denied"

    @display(description="State", label={"open": "danger", "resolved": "success"})
    def state(self, alert: Alert) -> str:
        return "resolved" if alert.resolved_at else "open"


def open_alerts(request: HttpRequest) -> int | None:
    """How many alerts are open, for the menu; None: none."""
    return Alert.objects.filter(resolved_at=None).count() or None
