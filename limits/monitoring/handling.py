"""What people do about alerts: acknowledge and silence them, and resume their notifications."""

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from limits.domain.alert_actions import (
    ACKNOWLEDGE,
    ACTIONS,
    LINKED_ACTIONS,
    RESUME,
    UNTIL_TOMORROW,
    end_of_silence,
)
from limits.models import Alert
from limits.models.channels import incident_channels
from limits.monitoring.messages import write_message
from ratelimit_enforcer.domain.enums import Channel, MessageKind

__all__ = [
    "ACKNOWLEDGE",
    "ACTIONS",
    "LINKED_ACTIONS",
    "RESUME",
    "UNTIL_TOMORROW",
    "acknowledge",
    "end_of_silence",
    "resume",
    "silence",
]

MAX_REPORTED_ALERTS = 20
"""If more alerts than this are acknowledged together, channels are not notified."""


@transaction.atomic
def acknowledge(alerts: QuerySet[Alert], username: str, now: datetime) -> int:
    """Ends the notifications about these alerts until they are resolved, and notifies the channels that have a
    message about them. Returns the number of alerts that were neither resolved nor acknowledged before."""
    unacknowledged = alerts.filter(resolved_at=None, acknowledged_at=None)
    keys = list(unacknowledged.select_for_update(of=("self",)).values_list("pk", flat=True))
    acknowledged = Alert.objects.filter(pk__in=keys)
    count = acknowledged.update(acknowledged_at=now, acknowledged_by=username)
    if count <= MAX_REPORTED_ALERTS:
        _notify_channels(acknowledged.exclude(rule__channels=[]).select_related("rule"), now)
    return count


def _notify_channels(alerts: QuerySet[Alert], now: datetime) -> None:
    """Incidents are left alone: apprise has no message that acknowledges one."""
    for alert in alerts:
        notified = alert.messages.filter(channel=Channel.SERVICE.value, destination__in=alert.rule.channels)
        for slug in set(notified.values_list("destination", flat=True)) - incident_channels():
            write_message(Channel.SERVICE, slug, alert, MessageKind.ACKNOWLEDGED, now)


def silence(alerts: QuerySet[Alert], until: datetime, username: str, reason: str = "") -> int:
    """Suspends the notifications about the rules and groups of these alerts, even if they resolve and open again.
    Returns the number of alerts."""
    return alerts.update(silenced_until=until, silenced_by=username, silence_reason=reason)


def resume(alerts: QuerySet[Alert]) -> int:
    """Ends acknowledgement and silence of these alerts. Returns the number of alerts."""
    ended = {"silenced_until": None, "silenced_by": "", "silence_reason": ""}
    return alerts.update(acknowledged_at=None, acknowledged_by="", **ended)
