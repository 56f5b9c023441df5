"""Dates of policies and overrides: moments in whole microseconds since 1970."""

from datetime import UTC, datetime, timedelta

from ratelimit_enforcer.domain.limit import SECOND_US

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


FOREVER = 2**63
"""Later than any time that a store's clock can show, in microseconds since 1970."""


def microseconds(moment: datetime) -> int:
    """A moment in whole microseconds since 1970; exact, unlike ``timestamp()``."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND_US + since.microseconds


def optional_microseconds(moment: datetime | None) -> int | None:
    """As :func:`microseconds`; None for None."""
    return None if moment is None else microseconds(moment)


def moment_of(microseconds: int) -> datetime:
    """The moment in UTC, from microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)


def optional_moment(microseconds: int | None) -> datetime | None:
    """As :func:`moment_of`; None for None."""
    return None if microseconds is None else moment_of(microseconds)


def end_in_words(ends_at: int | None) -> str:
    """“until 24 Dec 2026, 00:00 UTC”, “with no end”; ``ends_at`` is in microseconds since 1970."""
    return "with no end" if ends_at is None else f"until {date_and_time(moment_of(ends_at))}"


def date_and_time(moment: datetime) -> str:
    """“27 Nov 2026, 06:07 UTC”: the format of all texts."""
    return f"{moment.astimezone(UTC):%-d %b %Y, %H:%M} UTC"


def is_between(now: int, starts_at: int | None, ends_at: int | None) -> bool:
    """Whether ``now`` is in the period from ``starts_at`` until ``ends_at`` (microseconds since 1970, the end
    excluded; None: open-ended)."""
    return (starts_at is None or starts_at <= now) and (ends_at is None or now < ends_at)
