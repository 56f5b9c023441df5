"""Grants in the records of clients, their order, and the kinds under which their units are counted."""

import json

import pytest

from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.grants import (
    Grant,
    consumed_kind,
    grant_from_json,
    grant_of_kind,
    grant_to_json,
    in_order,
    returned_kind,
)

GRANT = Grant(7, "monthly", 10_000, 1_000, 2_000, 3)


def test_a_record_carries_its_grants() -> None:
    record = ClientRecord("acme", 4, grants=(GRANT, Grant(8, "daily", 5, 0, 9)))
    assert ClientRecord.from_text("acme", record.to_text()) == record
    body = json.loads(record.to_text().partition(" ")[2])
    assert body["grants"] == [[7, "monthly", 10_000, 1_000, 2_000, 3], [8, "daily", 5, 0, 9, 0]]


def test_a_record_of_an_earlier_release_has_no_grants() -> None:
    assert ClientRecord.from_text("acme", '4 {"plan":null,"status":"active","overrides":[]}').grants == ()


def test_items_that_a_later_release_adds_are_ignored() -> None:
    assert grant_from_json([*grant_to_json(GRANT), "more"]) == GRANT


@pytest.mark.parametrize("damaged", [[], [7], [7, "monthly", 1, 2, 3], [7, "monthly", "x", 2, 3, 4], [None] * 6])
def test_a_damaged_grant_is_an_error(damaged: list[object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        grant_from_json(damaged)


def test_grants_are_consumed_by_priority_then_by_their_end_then_by_id() -> None:
    first, second, third, last = Grant(9, "p", 1, 0, 90), Grant(3, "p", 1, 0, 95), Grant(5, "p", 1, 0, 95), GRANT
    assert in_order([last, third, second, first]) == (first, second, third, last)


def test_a_grant_is_active_from_its_beginning_until_before_its_end() -> None:
    assert [GRANT.is_active(now) for now in (999, 1_000, 1_999, 2_000)] == [False, True, True, False]


def test_kinds_name_the_grant() -> None:
    assert (consumed_kind(12), returned_kind(12)) == ("g12", "G12")
    assert grant_of_kind("g12") == (12, False)
    assert grant_of_kind("G12") == (12, True)
    assert [grant_of_kind(kind) for kind in ("d", "50", "g", "g0", "g-1", "g1x", "")] == [None] * 7
