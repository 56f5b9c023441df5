"""Blocks on a real platform: a row applies from the publication on."""

import pytest

from limits.models import Block, ClientChange
from limits.publishing import rules
from limits.publishing.impact import impact
from ratelimit_enforcer.domain.enums import Reason
from ratelimit_enforcer.engine import CheckRequest, get_engine
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db


def publish() -> None:
    rules.record("test")
    assert rules.deliver().live


def reason(client: str, **attributes: str) -> Reason | None:
    return get_engine().check(CheckRequest(client, "search", attributes=attributes), consume=False).reason


def test_a_block_of_each_kind_applies_from_the_publication_on(shop: Platform) -> None:
    rows.block(client_key="acme")
    rows.block(prefix="bot-")
    rows.block(network="203.0.113.0/24")
    asked = (("acme", {}), ("bot-7", {}), ("anyone", {"ip": "203.0.113.7"}), ("anyone", {"ip": "203.0.114.7"}))
    assert [reason(client, **attributes) for client, attributes in asked] == [None] * 4
    publish()
    assert [reason(client, **attributes) for client, attributes in asked] == [Reason.BLOCKED] * 3 + [None]
    assert ClientChange.objects.count() == 0
    Block.objects.all().delete()
    publish()
    assert [reason(client, **attributes) for client, attributes in asked] == [None] * 4


def test_blocks_are_published_in_one_order(shop: Platform) -> None:
    made = [rows.block(**fields) for fields in ({"client_key": "b"}, {"client_key": "B"}, {"prefix": "a"})]
    assert [block.subject for block in rules.compile_ruleset().blocks] == [("", "a", ""), ("B", "", ""), ("b", "", "")]
    assert len(made) == 3


def test_the_impact_of_blocks_is_that_on_requests(shop: Platform) -> None:
    before = rules.read_ruleset()
    row = rows.block(network="203.0.113.0/24")
    once = rules.read_ruleset()
    assert impact(before, once).sentence == "Affects the requests that 1 block matches."
    rows.block(client_key="acme")
    Block.objects.filter(pk=row.pk).update(reason="other")
    assert impact(once, rules.read_ruleset()).sentence == "Affects the requests that 2 blocks match."
    rows.Policy.objects.update(mode="shadow")
    assert impact(before, rules.read_ruleset()).sentence == (
        "Affects 1 registered client and all unregistered clients and the requests that 2 blocks match."
    )
