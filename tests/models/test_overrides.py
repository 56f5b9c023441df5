"""Overrides end after their start, and those of one client and policy do not overlap."""

from datetime import UTC, datetime

import pytest
from django.core.exceptions import ValidationError
from django.db.models import ProtectedError

from limits.models import Client, Override, Policy
from tests.models import rows
from tests.models.conftest import Refused

pytestmark = pytest.mark.django_db

Span = tuple[int | None, int | None]
OVERLAPPING: list[tuple[Span, Span]] = [
    ((1, 5), (4, 9)),
    ((1, 5), (2, 3)),
    ((1, 5), (1, 5)),
    ((1, 5), (4, None)),
    ((1, 5), (None, 2)),
    ((1, None), (9, None)),
    ((None, 5), (None, 9)),
    ((None, None), (1, 2)),
    ((None, None), (None, None)),
]
APART: list[tuple[Span, Span]] = [
    ((1, 5), (5, 9)),
    ((5, 9), (1, 5)),
    ((1, 5), (5, None)),
    ((None, 5), (5, None)),
    ((1, 3), (4, 5)),
]


def day(number: int | None) -> datetime | None:
    return datetime(2030, 1, number, tzinfo=UTC) if number else None


def between(client: Client, policy: Policy, span: Span) -> Override:
    return Override(client=client, policy=policy, starts_at=day(span[0]), ends_at=day(span[1]))


@pytest.fixture
def acme() -> Client:
    return rows.client("acme")


@pytest.fixture
def policy() -> Policy:
    return rows.policy("search")


@pytest.mark.parametrize("span", [(5, 1), (5, 5)])
def test_the_database_rejects_an_end_that_is_not_after_the_start(
    span: Span, acme: Client, policy: Policy, refused: Refused
) -> None:
    with refused("override_ends_after_start|range lower bound"):
        Override.objects.bulk_create([between(acme, policy, span)])


@pytest.mark.parametrize("span", [(5, 1), (5, 5)])
def test_the_form_reports_such_an_end_at_its_field(span: Span, acme: Client, policy: Policy) -> None:
    with pytest.raises(ValidationError) as caught:
        between(acme, policy, span).full_clean()
    assert caught.value.message_dict == {"ends_at": ["The end must be after the start."]}


@pytest.mark.parametrize(("first", "second"), OVERLAPPING)
def test_the_database_rejects_overlaps(
    first: Span, second: Span, acme: Client, policy: Policy, refused: Refused
) -> None:
    between(acme, policy, first).save()
    with refused("override_no_overlap"):
        Override.objects.bulk_create([between(acme, policy, second)])


def test_the_form_reports_overlaps(acme: Client, policy: Policy) -> None:
    between(acme, policy, (1, 5)).save()
    with pytest.raises(ValidationError, match="Overlaps another override of this client and policy"):
        between(acme, policy, (4, 9)).full_clean()


@pytest.mark.parametrize(("first", "second"), OVERLAPPING)
def test_validation_and_database_reject_the_same_overlaps(
    first: Span, second: Span, acme: Client, policy: Policy
) -> None:
    between(acme, policy, first).save()
    with pytest.raises(ValidationError):
        between(acme, policy, second).full_clean()
    with pytest.raises(ValidationError):
        between(acme, policy, second).validate_constraints()


def test_the_message_contains_policy_and_dates_of_the_other_override(acme: Client, policy: Policy) -> None:
    between(acme, policy, (1, None)).save()
    with pytest.raises(ValidationError) as caught:
        between(acme, policy, (None, 2)).full_clean()
    (message,) = caught.value.message_dict["starts_at"]
    assert message.endswith("client and policy (“search”: from 1 Jan 2030, 00:00 UTC, no end).")


@pytest.mark.parametrize(("first", "second"), APART)
def test_an_override_may_start_when_another_ends(first: Span, second: Span, acme: Client, policy: Policy) -> None:
    between(acme, policy, first).save()
    row = between(acme, policy, second)
    row.full_clean()
    row.save()


def test_overrides_of_different_clients_or_policies_may_overlap(acme: Client, policy: Policy) -> None:
    for client, its_policy in ((acme, policy), (rows.client("other"), policy), (acme, rows.policy("orders"))):
        row = Override(client=client, policy=its_policy)
        row.full_clean()
        row.save()


def test_deleting_a_client_deletes_its_override_rows(acme: Client, policy: Policy) -> None:
    rows.override_limit(rows.override(acme, policy))
    acme.delete()
    assert not Override.objects.exists()


def test_a_policy_with_overrides_cannot_be_deleted(acme: Client, policy: Policy) -> None:
    rows.override(acme, policy)
    with pytest.raises(ProtectedError):
        policy.delete()
