"""Blocks in the database: exactly one subject each, in one form."""

from collections.abc import Mapping

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from limits.models import Block
from tests.models import rows

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"client_key": "acme", "prefix": "ac"},
        {"client_key": "acme", "network": "203.0.113.0/24"},
        {"prefix": "ac", "network": "203.0.113.0/24"},
    ],
)
def test_a_block_has_exactly_one_subject(fields: Mapping[str, str]) -> None:
    with pytest.raises(ValidationError) as refused:
        Block(reason="x", **fields).full_clean()
    assert refused.value.messages == ["Enter exactly one of client, key prefix and network."]
    with pytest.raises(IntegrityError, match="block_one_subject"), transaction.atomic():
        rows.block(**fields)


@pytest.mark.parametrize("fields", [{"client_key": "acme"}, {"prefix": "acme"}, {"network": "203.0.113.0/24"}])
def test_a_subject_has_one_block(fields: Mapping[str, str]) -> None:
    rows.block(**fields)
    with pytest.raises(ValidationError, match="There is already a block of this client, key prefix or network"):
        Block(reason="x", **fields).full_clean()
    with pytest.raises(IntegrityError, match="block_subject"), transaction.atomic():
        rows.block(**fields)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        (" 203.0.113.0/255.255.255.0", "203.0.113.0/24"),
        ("203.0.113.7", "203.0.113.7/32"),
        ("2001:DB8::/32", "2001:db8::/32"),
    ],
)
def test_a_network_is_stored_in_one_form(typed: str, stored: str) -> None:
    block = Block(network=typed, reason="x")
    block.full_clean()
    block.save()
    assert Block.objects.get().network == stored


def test_the_same_network_in_another_form_is_a_duplicate() -> None:
    rows.block(network="203.0.113.0/24")
    with pytest.raises(ValidationError, match="There is already a block"):
        Block(network="203.0.113.0/255.255.255.0", reason="x").full_clean()


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        (
            {"network": "203.0.113.7/24"},
            {"network": ["Has bits set after its prefix length: write 203.0.113.0/24."]},
        ),
        ({"network": "acme"}, {"network": ["Must be a network such as 203.0.113.0/24 or 2001:db8::/48."]}),
        ({"client_key": "a\nb"}, {"client_key": ["A key must not contain control characters."]}),
        ({"prefix": "a\nb"}, {"prefix": ["A key must not contain control characters."]}),
    ],
)
def test_a_wrong_subject_is_refused_at_its_field(fields: Mapping[str, str], errors: Mapping[str, list[str]]) -> None:
    with pytest.raises(ValidationError) as refused:
        Block(reason="x", **fields).full_clean()
    assert refused.value.message_dict == errors


def test_a_block_needs_a_reason() -> None:
    with pytest.raises(ValidationError, match="reason"):
        Block(client_key="acme").full_clean()
    with pytest.raises(IntegrityError, match="block_reason_not_empty"), transaction.atomic():
        rows.block(client_key="acme", reason="")
