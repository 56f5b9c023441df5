"""What people do about alerts: acknowledge and silence them, and resume their notifications."""

from datetime import datetime, timedelta

from django.db.models import QuerySet

from limits.models import Alert

MORNING_HOUR = 8
"""The hour (UTC) at which a silence until tomorrow ends."""


ACKNOWLEDGE, UNTIL_TOMORROW, RESUME = "acknowledge", "tomorrow", "resume"

ACTIONS = (
    (ACKNOWLEDGE, "Acknowledge: no more notifications until the alert resolves"),
    ("1", "Silence for 1 hour"),
    ("4", "Silence for 4 hours"),
    ("8", "Silence for 8 hours"),
    (UNTIL_TOMORROW, f"Silence until tomorrow, {MORNING_HOUR:02}:00 UTC"),
    ("24", "Silence for 1 day"),
    ("168", "Silence for 1 week"),
    (RESUME, "Resume notifications"),
)
"""(Action, label). The action of a silence is its number of hours."""

LINKED_ACTIONS = (
    (ACKNOWLEDGE, "Acknowledge"),
    ("1", "Silence for 1 hour"),
    ("8", "Silence for 8 hours"),
    (UNTIL_TOMORROW, f"Silence until tomorrow, {MORNING_HOUR:02}:00 UTC"),
)
"""(Action, label) of the links in emails."""


def acknowledge(alerts: QuerySet[Alert], username: str, now: datetime) -> int:
    """Ends the notifications about these alerts until they are resolved. Returns the number of alerts that were
    neither resolved nor acknowledged before."""
    unacknowledged = alerts.filter(resolved_at=None, acknowledged_at=None)
    return unacknowledged.update(acknowledged_at=now, acknowledged_by=username)


def silence(alerts: QuerySet[Alert], until: datetime, username: str, reason: str = "") -> int:
    """Suspends the notifications about the rules and groups of these alerts, even if they resolve and open again.
    Returns the number of alerts."""
    return alerts.update(silenced_until=until, silenced_by=username, silence_reason=reason)


def resume(alerts: QuerySet[Alert]) -> int:
    """Ends acknowledgement and silence of these alerts. Returns the number of alerts."""
    ended = {"silenced_until": None, "silenced_by": "", "silence_reason": ""}
    return alerts.update(acknowledged_at=None, acknowledged_by="", **ended)


def end_of_silence(action: str, now: datetime) -> datetime:
    """Returns the time at which the silence of this action ends, such as “8” (hours). Raises ``ValueError`` for other
    actions."""
    if action != UNTIL_TOMORROW:
        return now + timedelta(hours=int(action))
    return now.replace(hour=MORNING_HOUR, minute=0, second=0, microsecond=0) + timedelta(days=1)
