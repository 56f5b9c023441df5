"""Channels: places such as a Slack channel or a PagerDuty service to which alert rules send messages."""

from collections.abc import Iterable, Iterator

from django.core.exceptions import ValidationError
from django.db import models

from limits.domain.services import MAX_SERVICE_URL_LENGTH, service_of, service_url_problem
from limits.models.channel_secrets import reference_to
from limits.models.fields import ImmutableSlugModel, slug_check, slug_field
from limits.models.history import RowHistory
from ratelimit_enforcer.domain.validation import capitalized


class NotificationChannel(ImmutableSlugModel):
    """A place in a service that people read. The URL is a secret: it is stored, and never shown."""

    slug = slug_field("Alert rules name the channel by it, such as “ops-slack”.")
    url = models.CharField("URL", max_length=MAX_SERVICE_URL_LENGTH)
    approvals = models.BooleanField(
        "requests for approval",
        default=False,
        help_text="Also sends a message when a change set awaits approval.",
    )

    history = RowHistory()

    secret_fields = frozenset({"url"})
    """Columns that the history shows as references (:mod:`limits.models.channel_secrets`)."""

    class Meta:
        verbose_name = "channel"
        ordering = ["slug"]
        constraints = [slug_check("notificationchannel")]

    def __str__(self) -> str:
        return self.slug

    def clean(self) -> None:
        super().clean()
        if self.url and (message := service_url_problem(self.url)):
            raise ValidationError({"url": capitalized(message)})

    @property
    def service_name(self) -> str:
        """The name of the service, such as “Slack”."""
        service = service_of(self.url)
        return service.name if service else "unknown"

    @property
    def resolves(self) -> bool:
        """Whether the service opens and resolves incidents."""
        service = service_of(self.url)
        return service is not None and service.resolves

    @property
    def secret(self) -> str:
        """What is shown in place of the URL."""
        return reference_to(self.url)


def incident_channels() -> frozenset[str]:
    """The slugs of the channels whose services open and resolve incidents."""
    return frozenset(channel.slug for channel in NotificationChannel.objects.all() if channel.resolves)


def channel_problems(slugs: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yields (field, what is wrong) for channels that do not exist."""
    named = list(slugs)
    known = set(NotificationChannel.objects.filter(slug__in=named).values_list("slug", flat=True)) if named else set()
    for slug in named:
        if slug not in known:
            yield "channels", f"there is no channel “{slug}”."
