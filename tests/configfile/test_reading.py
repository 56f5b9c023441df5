"""Parsing of config files."""

import json
from datetime import UTC, datetime

import pytest

from limits.configfile.document import ClientEntry, Document, OverrideEntry, read
from limits.configfile.reading import parse
from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus, Mode, OnStoreFailure, Partition
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.routes import Route
from ratelimit_enforcer.domain.rules import Endpoint, Plan, Policy
from tests.configfile.files import LIMITS, STORE

MEANING = Document(
    plans=(Plan("free", "Free"), Plan("pro", "Pro")),
    default_plan="free",
    endpoints=(
        Endpoint("orders", "Orders", (Route("POST", "/api/orders"), Route("*", "/api/orders/{id}")), cost=5),
        Endpoint("search", "Product search", (Route("GET", "/api/search"),)),
    ),
    policies=(
        Policy(
            "free-search",
            (Limit(100, 60), Limit(10, 1, Algorithm.TOKEN_BUCKET, 20)),
            plan="free",
            endpoint="search",
            mode=Mode.SHADOW,
            on_store_failure=OnStoreFailure.DENY,
        ),
        Policy("pro-total", (Limit(1000, 3600),), plan="pro"),
    ),
    policy_names={"free-search": "Search on Free", "pro-total": ""},
    clients=(ClientEntry("acme", "Acme Ltd", "pro"), ClientEntry("scraper", status=ClientStatus.BLOCKED)),
    overrides=(
        OverrideEntry(
            "acme",
            "pro-total",
            (Limit(5000, 3600),),
            datetime(2126, 12, 1, tzinfo=UTC),
            datetime(2126, 12, 24, tzinfo=UTC),
            "Christmas sale",
        ),
    ),
)


def test_a_yaml_file_is_read() -> None:
    assert read(STORE) == MEANING


@pytest.mark.parametrize("layout", [{}, {"indent": 2}, {"separators": (",", ":")}], ids=["default", "wide", "compact"])
def test_a_json_file_is_read(layout: dict[str, object]) -> None:
    assert read(json.dumps(parse(STORE), **layout)) == MEANING


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n", "{}", "---\n", "\ufeff"])
def test_an_empty_file_has_no_section(text: str) -> None:
    assert read(text) == Document()


def test_an_empty_section_differs_from_a_missing_one() -> None:
    document = read("plans: []\nclients: []")
    assert (document.plans, document.clients) == ((), ())
    assert (document.endpoints, document.policies, document.overrides) == (None, None, None)


def test_omitted_fields_have_their_defaults() -> None:
    text = f"""
        plans: [{{slug: free}}]
        endpoints: [{{slug: search}}]
        policies: [{{slug: all, {LIMITS}}}]
        clients: [{{key: acme}}]
        overrides: [{{client: acme, policy: all, {LIMITS}}}]
    """
    document = read(text)
    assert document.plans == (Plan("free", "free"),)
    assert document.default_plan is None
    assert document.endpoints == (Endpoint("search", "search", (), cost=1),)
    assert document.policies == (
        Policy("all", (Limit(1, 60),), None, None, Partition.CLIENT, Mode.ENFORCE, OnStoreFailure.LOCAL),
    )
    assert document.clients == (ClientEntry("acme", "", None, ClientStatus.ACTIVE),)
    assert document.overrides == (OverrideEntry("acme", "all", (Limit(1, 60),), None, None, ""),)


def test_the_meaning_of_null_in_each_field() -> None:
    text = f"""
        policies: [{{slug: all, plan: null, endpoint: ~, {LIMITS}}}]
        clients: [{{key: acme, plan: null}}]
        overrides: [{{client: acme, policy: all, starts_at: null, ends_at: ~, {LIMITS}}}]
    """
    document = read(text)
    assert (document.policies[0].plan, document.policies[0].endpoint, document.clients[0].plan) == (None, None, None)
    assert (document.overrides[0].starts_at, document.overrides[0].ends_at) == (None, None)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2126-12-01T00:00:00Z", datetime(2126, 12, 1, tzinfo=UTC)),
        ('"2126-12-01T00:00:00Z"', datetime(2126, 12, 1, tzinfo=UTC)),
        ("2126-12-01T01:30:00+01:30", datetime(2126, 12, 1, tzinfo=UTC)),
        ("2126-12-01 00:00:00-05:00", datetime(2126, 12, 1, 5, tzinfo=UTC)),
        ("2126-12-01T00:00:00.000001Z", datetime(2126, 12, 1, 0, 0, 0, 1, tzinfo=UTC)),
    ],
)
def test_times_are_exact(text: str, moment: datetime) -> None:
    document = read(f"overrides: [{{client: acme, policy: all, starts_at: {text}, {LIMITS}}}]")
    assert document.overrides[0].starts_at == moment


def test_head_is_read_as_get() -> None:
    assert read("endpoints: [{slug: search, routes: [HEAD /search]}]").endpoints[0].routes == (Route("GET", "/search"),)


def test_anchors_of_yaml_are_resolved() -> None:
    text = """
        policies:
          - {slug: a, limits: &limits [{quota: 1, window: 60}]}
          - {slug: b, limits: *limits}
    """
    assert [policy.limits for policy in read(text).policies] == [(Limit(1, 60),)] * 2


@pytest.mark.parametrize("key", ["a: b", "ümlaut", "it's", 'say "hi"', " spaces ", "#1", "null", "x" * 256])
def test_keys_may_contain_unusual_characters(key: str) -> None:
    assert read(json.dumps({"clients": [{"key": key}]})).clients[0].key == key
