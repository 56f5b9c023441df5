"""Channels of services such as Slack. Their URLs are secrets, which no page shows."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminPasswordWidget

from limits.admin.base import HasIntroduction, PlatformModelAdmin
from limits.admin.row_history import ShowsHistory
from limits.domain.services import SERVICES
from limits.models import AlertRule, NotificationChannel
from limits.monitoring.checked_http import NotDelivered
from limits.monitoring.delivery import send_once
from limits.monitoring.messages import write_channel_test


class SecretURLField(forms.CharField):
    """A field that never shows its value; left empty, it keeps it."""

    widget = UnfoldAdminPasswordWidget(render_value=False, attrs={"autocomplete": "off"})

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(data)


class ChannelsField(forms.MultipleChoiceField):
    """A choice of channels by their slugs, in which unknown slugs of a saved rule remain visible."""

    widget = UnfoldAdminCheckboxSelectMultipleWidget

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=_channel_choices, **options)


def _channel_choices() -> list[tuple[str, str]]:
    return [(channel.slug, f"{channel.slug} ({channel.service_name})") for channel in NotificationChannel.objects.all()]


_URL_HELP = format_html(
    "A secret: it is not shown again.<br>{}",
    format_html_join(mark_safe("<br>"), "{}: {}", ((service.name, service.example) for service in SERVICES)),
)


class ChannelForm(forms.ModelForm):
    url = SecretURLField(required=False, label="URL", help_text=_URL_HELP)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "url" in self.fields:
            self.fields["url"].required = not self.instance.pk
            if self.instance.pk:
                self.fields["url"].label = "New URL"

    def clean_url(self) -> str:
        return str(self.cleaned_data["url"] or self.instance.url)


@admin.register(NotificationChannel)
class NotificationChannelAdmin(HasIntroduction, ShowsHistory, PlatformModelAdmin):
    introduction = (
        "Channels are places in Slack, Microsoft Teams, PagerDuty and other services that alert rules send messages to."
    )
    form = ChannelForm
    list_display = ("slug", "service", "secret", "approvals", "used_by")
    search_fields = ("slug",)
    fields = ("slug", "url", "approvals")
    actions_detail = ("send_test",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Users who may only view the channel see the reference to its secret."""
        if not obj:
            return ["slug", "url", "approvals"]
        return [
            "slug",
            "service",
            "secret",
            *(["url"] if self.has_change_permission(request, obj) else []),
            "approvals",
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["slug", "service", "secret"] if obj else []

    def obstacle_to_deleting(self, queryset: QuerySet[NotificationChannel]) -> str:
        slugs = list(queryset.values_list("slug", flat=True))
        names = AlertRule.objects.filter(channels__overlap=slugs).values_list("name", flat=True)
        return f"Remove the channel from these alert rules first: {', '.join(names)}." if names else ""

    @action(description="Send a test message…", url_path="test", permissions=["change"])
    def send_test(self, request: HttpRequest, object_id: int) -> HttpResponse:
        channel = get_object_or_404(NotificationChannel, pk=object_id)
        page = reverse("admin:limits_notificationchannel_change", args=[object_id])
        if request.method == "POST":
            _send_test(request, channel)
            return HttpResponseRedirect(page)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Send a test message to “{channel}”",
            "opts": self.opts,
            "form": forms.Form(),
            "submit": "Send",
            "back": page,
            "intro": [f"This sends a message marked as a test to {channel.service_name}, and shows the answer."],
        }
        return TemplateResponse(request, "admin/limits/form_page.html", context)

    @display(description="Service")
    def service(self, channel: NotificationChannel) -> str:
        return channel.service_name

    @display(description="Secret")
    def secret(self, channel: NotificationChannel) -> str:
        return channel.secret

    @display(description="Alert rules")
    def used_by(self, channel: NotificationChannel) -> str:
        return ", ".join(AlertRule.objects.filter(channels__contains=[channel.slug]).values_list("name", flat=True))


def _send_test(request: HttpRequest, channel: NotificationChannel) -> None:
    message = write_channel_test(channel, timezone.now())
    try:
        answer = send_once(message)
    except NotDelivered as error:
        messages.error(request, f"Not delivered. {error}")
    else:
        messages.success(request, f"Delivered. {answer}")
