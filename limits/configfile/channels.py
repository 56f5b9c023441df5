"""The section ``channels`` of the config file: notification channels, identified by slug."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from limits.configfile.reading import InvalidConfig
from limits.domain.services import service_url_problem
from limits.models import AlertRule, NotificationChannel
from ratelimit_enforcer.domain.validation import ValidationProblem

SECTION = "channels"


@dataclass(frozen=True, slots=True)
class ChannelEntry:
    """A notification channel in the file. ``url`` is a secret."""

    slug: str
    url: str
    approvals: bool = False


def channel_entry(item: dict[str, Any]) -> ChannelEntry:
    """Returns the entry of an item whose shape is valid."""
    return ChannelEntry(item["slug"], item["url"], item.get("approvals", False))


def channel_entry_problems(items: Sequence[dict[str, Any]]) -> Iterator[ValidationProblem]:
    """Yields a problem for each URL that is not one of a supported service."""
    for at, item in enumerate(items):
        if message := service_url_problem(item["url"]):
            yield ValidationProblem((SECTION, at, "url"), message)


def channel_items() -> Iterator[dict[str, Any]]:
    """Yields the items of all channels, with their secrets."""
    for channel in NotificationChannel.objects.all():
        yield {"slug": channel.slug, "url": channel.url, **({"approvals": True} if channel.approvals else {})}


def channel_reference_problems(
    used: Sequence[tuple[str, ...]], entries: Sequence[ChannelEntry]
) -> Iterator[ValidationProblem]:
    """Yields a problem for each channel that is neither in the file nor stored. ``used``: slugs of each alert rule."""
    known = {entry.slug for entry in entries} | set(NotificationChannel.objects.values_list("slug", flat=True))
    for at, slugs in enumerate(used):
        for position, slug in enumerate(slugs):
            if slug not in known:
                yield ValidationProblem(("alert_rules", at, SECTION, position), f"there is no channel “{slug}”.")


def write_channels(entries: Sequence[ChannelEntry]) -> None:
    """Creates and changes channels, which are identified by slug."""
    for entry in entries:
        NotificationChannel.objects.update_or_create(
            slug=entry.slug, defaults={"url": entry.url, "approvals": entry.approvals}
        )


def prune_channels(entries: Sequence[ChannelEntry]) -> None:
    """Removes the channels that are not in the file. Raises :class:`InvalidConfig` for those that alert rules name."""
    unnamed = NotificationChannel.objects.exclude(slug__in=[entry.slug for entry in entries])
    slugs = list(unnamed.values_list("slug", flat=True))
    users = AlertRule.objects.filter(channels__overlap=slugs).values_list("name", flat=True) if slugs else ()
    if names := sorted(users)[:5]:
        message = f"cannot be pruned, because it is still used by: {', '.join(names)}."
        raise InvalidConfig([ValidationProblem((SECTION,), message)])
    unnamed.delete()


def channels_in_words() -> dict[str, str]:
    """Returns slug → what messages the channel gets and where, without its secret."""
    return {
        channel.slug: f"{channel.service_name}, {channel.secret}{', requests for approval' * channel.approvals}"
        for channel in NotificationChannel.objects.all()
    }
