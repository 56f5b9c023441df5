"""Dates of policies in a config file."""

import pytest

from limits.configfile.export import export
from limits.models import Policy
from limits.publishing.rules import compile_ruleset
from ratelimit_enforcer.domain.dates import moment_of
from tests.configfile.files import LIMITS, empty_tables, put, refusal
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

NOVEMBER, DECEMBER = "2126-11-01T00:00:00Z", "2126-12-01T00:00:00+01:00"


ADDED = (
    "Policy sale added (plan: all plans; endpoint: all requests; partition: client; mode: enforce; if Redis is down: "
    "local; limits: 1 per minute; dates: from 1 Nov 2126, 00:00 UTC, no end)."
)


def policy(dates: str = "") -> str:
    return f"policies: [{{slug: sale, {LIMITS}{dates}}}]"


def test_dates_are_live_to_the_microsecond(shop: Platform) -> None:
    put(policy(f", starts_at: {NOVEMBER}, ends_at: 2126-12-01T00:00:00.000001Z"))
    live = shop.ruleset.policies[-1]
    assert [moment_of(date).isoformat() for date in live.dates] == [
        "2126-11-01T00:00:00+00:00",
        "2126-12-01T00:00:00.000001+00:00",
    ]


def test_applying_dates_again_changes_nothing_and_omitting_them_removes_them(shop: Platform) -> None:
    text = policy(f", starts_at: {NOVEMBER}")
    assert put(text).changes == [ADDED]
    assert put(text).changes == []
    assert put(policy()).changes == ["Policy sale, dates: from 1 Nov 2126, 00:00 UTC, no end → none."]
    assert Policy.objects.get(slug="sale").starts_at is None


def test_an_export_contains_the_dates_and_calendar_years(shop: Platform) -> None:
    limits = "limits: [{quota: 5, algorithm: calendar, period: year}]"
    put(f"policies: [{{slug: sale, {limits}, starts_at: {DECEMBER}, ends_at: 2127-01-01T00:00:00.000001Z}}]")
    before, text = compile_ruleset(), export()
    assert "starts_at: '2126-11-30T23:00:00Z'\n  ends_at: '2127-01-01T00:00:00.000001Z'" in text
    empty_tables()
    put(text)
    assert compile_ruleset() == before


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        (f", starts_at: {DECEMBER}, ends_at: {NOVEMBER}", "policies[0].ends_at: must be after the start."),
        (f", starts_at: {NOVEMBER}, ends_at: {NOVEMBER}", "policies[0].ends_at: must be after the start."),
        (
            ", starts_at: 2126-11-01",
            "policies[0].starts_at: must be a date and time with a time zone, such as 2026-12-01T00:00:00Z.",
        ),
        (", ends_at: 5", "policies[0].ends_at: must be text (put it in quotes) or empty."),
    ],
)
def test_invalid_dates_are_reported_at_their_field(dates: str, message: str) -> None:
    assert refusal(policy(dates)) == [message]
