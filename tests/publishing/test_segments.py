"""Segments on a real platform: a change of rules or of a client's tags applies from the publication on."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from limits.models import Client, ClientChange, SegmentOverride, SegmentOverrideLimit
from limits.models.history import create_with_history
from limits.publishing import clients, rules
from limits.publishing.impact import impact
from ratelimit_enforcer.engine import CheckRequest, get_engine
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db


def segment_override(quota: int = 500, **fields: object) -> SegmentOverride:
    row = SegmentOverride.objects.create(policy=rows.Policy.objects.get(slug="all"), **fields)
    SegmentOverrideLimit.objects.create(override=row, quota=quota, window=60)
    return row


def publish() -> None:
    rules.record("test")
    assert rules.deliver().live


def quota(client: str) -> int:
    return get_engine().check(CheckRequest(client, "search"), consume=False).limits[0].limit.quota


def test_a_segment_of_many_clients_is_raised_without_a_write_for_any_of_them(shop: Platform) -> None:
    create_with_history(Client, [Client(key=f"shop-{at}", tags=["wholesale"]) for at in range(200)])
    assert clients.deliver().live
    assert (quota("shop-7"), ClientChange.objects.count()) == (100, 0)
    segment_override(tags=["wholesale"])
    with CaptureQueriesContext(
        connection,
    ) as queries:
        publish()
    assert not [query for query in queries if "limits_client " in query["sql"] or '"limits_client"' in query["sql"]]
    assert ClientChange.objects.count() == 0
    assert [quota(client) for client in ("shop-7", "shop-199", "unregistered")] == [500, 500, 100]


def test_a_client_that_gets_or_loses_a_tag_enters_or_leaves_the_segment(shop: Platform) -> None:
    segment_override(tags=["wholesale"])
    publish()
    assert quota("acme") == 100
    for tags, expected in ((["wholesale"], 500), ([], 100)):
        Client.objects.filter(key="acme").update(tags=tags)
        assert clients.deliver().live
        assert quota("acme") == expected


def test_the_limits_of_a_client_include_those_of_its_segment(shop: Platform) -> None:
    segment_override(prefix="ac")
    publish()
    assert get_engine().peek_client("acme").decision.limits[0].limit.quota == 500


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"tags": ["wholesale"]}, "Affects 1 registered client."),
        ({"prefix": "acm"}, "Affects 1 registered client and all unregistered clients."),
    ],
)
def test_the_impact_of_a_segment_is_that_on_its_clients(
    shop: Platform, fields: dict[str, object], sentence: str
) -> None:
    rows.client("other", tags=["wholesale"])
    before = rules.read_ruleset()
    segment_override(**fields)
    assert impact(before, rules.read_ruleset()).sentence == sentence
