"""Grants: what the database and the forms reject, and their ledger."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from limits.models import Client, Grant, GrantTotal, GrantUse
from tests.models import rows
from tests.models.conftest import Refused

pytestmark = pytest.mark.django_db

AT = datetime(2026, 12, 1, tzinfo=UTC)


def errors_of(row: Grant) -> dict[str, list[str]]:
    try:
        row.full_clean()
    except ValidationError as error:
        return error.message_dict
    return {}


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"amount": 0}, "grant_amount_in_range"),
        ({"amount": 10**9 + 1}, "grant_amount_in_range"),
        ({"priority": 101}, "grant_priority_in_range"),
        ({"starts_at": AT, "ends_at": AT}, "grant_ends_after_start"),
    ],
)
def test_the_database_rejects(fields: dict[str, Any], constraint: str, refused: Refused) -> None:
    acme, policy = rows.client(), rows.monthly_policy()
    with refused(constraint):
        rows.grant(acme, policy, **fields)


def test_client_policy_and_start_identify_a_grant(refused: Refused) -> None:
    acme, policy = rows.client(), rows.monthly_policy()
    rows.grant(acme, policy, starts_at=AT, ends_at=AT + timedelta(days=1))
    rows.grant(acme, policy, starts_at=AT + timedelta(hours=1), ends_at=AT + timedelta(days=1))
    with refused("grant_identity"):
        rows.grant(acme, policy, starts_at=AT, ends_at=AT + timedelta(days=2))


def test_a_policy_needs_a_calendar_limit_and_separate_counters() -> None:
    acme = rows.client()
    assert errors_of(rows.grant(acme, rows.monthly_policy())) == {}
    assert errors_of(rows.grant(acme, rows.policy("by-minute")))["policy"] == [
        "This policy has no calendar limit, such as a number per month, which a grant could extend."
    ]
    for number, counted in enumerate(({"partition": "global"}, {"attributes": ["model"]})):
        shared = rows.monthly_policy(f"shared-{number}", **counted)
        assert errors_of(rows.grant(acme, shared))["policy"] == [
            "This policy does not count each client separately (partition client, without attributes)."
        ]


def test_the_end_is_after_the_start() -> None:
    row = rows.grant(rows.client(), rows.monthly_policy())
    row.ends_at = row.starts_at
    assert errors_of(row)["ends_at"] == ["The end must be after the start."]


def test_the_amount_is_never_below_what_was_used() -> None:
    row = rows.grant(rows.client(), rows.monthly_policy(), amount=500)
    GrantTotal.objects.create(grant=row, consumed=300, returned=100)
    row.amount = 200
    assert errors_of(row) == {}
    row.amount = 199
    assert errors_of(row) == {"amount": ["200 units are used already. To stop the grant, end it."]}
    assert (row.figures.used, row.figures.remaining_of(500)) == (200, 300)


def test_the_ledger_is_removed_together_with_the_client() -> None:
    row = rows.grant(rows.client(), rows.monthly_policy())
    GrantUse.objects.create(grant=row, hour=AT, consumed=3, returned=1)
    GrantTotal.objects.create(grant=row, consumed=3, returned=1)
    Client.objects.get().delete()
    assert not Grant.objects.exists()
    assert not GrantUse.objects.exists()
    assert not GrantTotal.objects.exists()
