"""Export of the database as a file that restores it."""

import json
from pathlib import Path
from typing import Any

import pytest

from limits.configfile.export import export
from limits.models import Client, Override
from limits.publishing.rules import compile_ruleset
from ratelimit_enforcer.domain.enums import Algorithm, OverQuota
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.ruleset import digest_of
from tests.configfile.files import STORE, empty_tables, put
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

DEMO = (Path(__file__).parents[2] / "demo" / "shop.yaml").read_text(encoding="utf-8")


def meaning() -> list[Any]:
    """The content of a platform without ids of the database."""
    overrides = Override.objects.order_by("client__key", "policy__slug", "starts_at")
    return [
        digest_of(compile_ruleset().to_bytes()),
        list(Client.objects.order_by("key").values_list("key", "name", "plan__slug", "status")),
        list(overrides.values_list("client__key", "policy__slug", "starts_at", "ends_at", "reason")),
        [[limit.as_domain() for limit in row.limits.all()] for row in overrides],
    ]


def test_an_export_restores_the_demo_shop(platform: Platform) -> None:
    put(DEMO)
    before, text = meaning(), export()
    empty_tables()
    put(text)
    assert meaning() == before
    assert export() == text


def test_applying_an_export_changes_nothing(platform: Platform) -> None:
    put(STORE)
    assert put(export(), prune=True, prune_clients=True).changes == []
    assert platform.sequence == 1


def test_an_export_omits_defaults(platform: Platform) -> None:
    put(STORE)
    assert (
        export()
        == """\
plans:
- slug: free
  name: Free
  default: true
- slug: pro
  name: Pro
endpoints:
- slug: orders
  name: Orders
  routes:
  - POST /api/orders
  - '* /api/orders/{id}'
  cost: 5
- slug: search
  name: Product search
  routes:
  - GET /api/search
  cost: 1
policies:
- slug: free-search
  name: Search on Free
  plan: free
  endpoint: search
  mode: shadow
  on_store_failure: deny
  limits:
  - quota: 100
    window: 60
  - quota: 10
    algorithm: token_bucket
    window: 1
    burst: 20
- slug: pro-total
  plan: pro
  limits:
  - quota: 1000
    window: 3600
clients:
- key: acme
  name: Acme Ltd
  plan: pro
- key: scraper
  status: blocked
overrides:
- client: acme
  policy: pro-total
  limits:
  - quota: 5000
    window: 3600
  starts_at: '2126-12-01T00:00:00Z'
  ends_at: '2126-12-24T00:00:00Z'
  reason: Christmas sale
alert_rules: []
"""
    )


def test_an_empty_platform_has_empty_sections(platform: Platform) -> None:
    assert export() == "plans: []\nendpoints: []\npolicies: []\nclients: []\noverrides: []\nalert_rules: []\n"
    assert put(export(), prune=True).changes == []


def test_times_are_exported_in_utc(shop: Platform) -> None:
    put(
        "overrides: [{client: acme, policy: all, limits: [{quota: 1, window: 60}], "
        "starts_at: '2126-07-01T02:00:00.000001+02:00'}]"
    )
    assert "starts_at: '2126-07-01T00:00:00.000001Z'" in export()


def test_names_are_exported_without_escapes(shop: Platform) -> None:
    rows.client("müller", name="Bäckerei 😀")
    assert "- key: müller\n  name: Bäckerei 😀\n" in export()


ODD = [
    '"quoted"',
    "it's",
    "Bäckerei Größe – naïve",
    "名前",
    "😀",
    "a: b",
    "a #b",
    " leading and trailing ",
    "  ",
    "- item",
    "[a, b]",
    "{a: b}",
    "*anchor",
    "&anchor",
    "!tag",
    "| block",
    "> folded",
    "%directive",
    "@at",
    "`tick",
    "back\\slash",
    "?",
    "=",
    "<<",
    "~",
    "null",
    "yes",
    "Off",
    "1",
    "1.0",
    "0x1f",
    "1:30",
    "2026-12-01",
    "2026-12-01T00:00:00Z",
    "---",
    "...",
    "non\u00a0breaking",
    "zero\u200bwidth",
    "\ufeffmark",
    "line\u2028separator",
    "e\u0301 is not \u00e9",
    "word " * 39,
]


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_an_export_restores_unusual_names(name: str, shop: Platform) -> None:
    rows.plan("pro", name=name)
    rows.endpoint("search", name=name)
    rows.policy("more", name=name)
    client = rows.client(name, name=name)
    rows.override_limit(rows.override(client, rows.policy("total"), reason=name))
    before, text = meaning(), export()
    empty_tables()
    put(text)
    assert meaning() == before


@pytest.mark.parametrize("path", ["/a%20b/{id}", "/ä/*", "/a:b", "/'", '/"', "/~x", "/{größe}", "//a"])
def test_an_export_restores_unusual_routes(path: str, shop: Platform) -> None:
    put(json.dumps({"endpoints": [{"slug": "odd", "routes": [f"* {path}"]}]}))
    before, text = meaning(), export()
    empty_tables()
    put(text)
    assert meaning() == before


CONCURRENT = """
plans: [{slug: free, default: true}]
policies:
- {slug: slow, limits: [{quota: 100, window: 60}, {quota: 5, window: 60, algorithm: concurrency}]}
clients: [{key: acme}]
overrides:
- {client: acme, policy: slow, limits: [{quota: 9, window: 90, algorithm: concurrency}]}
- {clients: {prefix: partner-}, policy: slow, limits: [{quota: 7, window: 30, algorithm: concurrency}]}
"""


def test_an_export_restores_concurrency_limits(platform: Platform) -> None:
    sentence = "limits: 100 per minute; and at most 5 concurrent requests, each for at most one minute"
    assert sentence in " ".join(put(CONCURRENT).changes)
    before, text = meaning(), export()
    assert text.count("algorithm: concurrency") == 3
    assert "  - quota: 5\n    algorithm: concurrency\n    window: 60\n" in text
    empty_tables()
    put(text)
    assert meaning() == before
    assert export() == text
    record = platform.client("acme")
    assert record
    assert record.overrides[0].limits == (Limit(9, 90, Algorithm.CONCURRENCY),)
    assert platform.ruleset.segment_overrides[0].limits == (Limit(7, 30, Algorithm.CONCURRENCY),)


COUNTING = """
policies:
- {slug: monthly, over_quota: count, limits: [{quota: 1000, algorithm: calendar, period: month}]}
"""


def test_an_export_restores_policies_that_count_over_quota(platform: Platform) -> None:
    assert "over quota: count" in " ".join(put(COUNTING).changes)
    before, text = meaning(), export()
    assert "  over_quota: count\n" in text
    empty_tables()
    put(text)
    assert meaning() == before
    assert platform.ruleset.policies[0].over_quota is OverQuota.COUNT
    denying = text.replace("over_quota: count", "over_quota: deny")
    assert "over quota: count → none" in " ".join(put(denying).changes)
