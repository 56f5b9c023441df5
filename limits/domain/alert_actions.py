"""What people can do about an alert, and until when a silence lasts."""

from datetime import datetime, timedelta

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


def end_of_silence(action: str, now: datetime) -> datetime:
    """Returns the time at which the silence of this action ends, such as “8” (hours). Raises ``ValueError`` for other
    actions."""
    if action != UNTIL_TOMORROW:
        return now + timedelta(hours=int(action))
    return now.replace(hour=MORNING_HOUR, minute=0, second=0, microsecond=0) + timedelta(days=1)
