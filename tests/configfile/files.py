"""Config files for tests, and helpers that apply them."""

from typing import Any

import pytest

from limits.configfile.apply import ApplyResult, apply
from limits.configfile.document import read
from limits.configfile.export import export
from limits.configfile.reading import InvalidConfig
from limits.models import (
    AlertRule,
    Block,
    Client,
    ClientChange,
    Endpoint,
    Override,
    Plan,
    Policy,
    Publication,
    RuleChange,
    SegmentOverride,
)
from tests.publishing.platforms import Platform

STORE = """
plans:
  - {slug: free, name: Free, default: true}
  - {slug: pro, name: Pro}
endpoints:
  - {slug: orders, name: Orders, routes: ["POST /api/orders", "* /api/orders/{id}"], cost: 5}
  - {slug: search, name: Product search, routes: ["GET /api/search"]}
policies:
  - slug: free-search
    name: Search on Free
    plan: free
    endpoint: search
    mode: shadow
    on_store_failure: deny
    limits:
      - {quota: 100, window: 60}
      - {quota: 10, window: 1, algorithm: token_bucket, burst: 20}
  - slug: pro-total
    plan: pro
    limits: [{quota: 1000, window: 3600}]
clients:
  - {key: acme, name: Acme Ltd, plan: pro}
  - {key: scraper, status: blocked}
overrides:
  - client: acme
    policy: pro-total
    limits: [{quota: 5000, window: 3600}]
    starts_at: 2126-12-01T00:00:00Z
    ends_at: 2126-12-24T00:00:00Z
    reason: Christmas sale
"""
"""A file with every section."""

LIMITS = "limits: [{quota: 1, window: 60}]"


def put(text: str, **options: Any) -> ApplyResult:
    """Applies a file."""
    return apply(read(text), author="test", **options)


def refusal(text: str) -> list[str]:
    """The problems for which reading a file is rejected, one line each."""
    with pytest.raises(InvalidConfig) as caught:
        read(text)
    return str(caught.value).splitlines()


def refused(text: str, **options: Any) -> list[str]:
    """The problems for which applying a file is rejected, one line each."""
    with pytest.raises(InvalidConfig) as caught:
        put(text, **options)
    return str(caught.value).splitlines()


def everything(platform: Platform) -> list[Any]:
    """All state that a rejected file or a dry run must leave unchanged."""
    waiting = [list(model.objects.values_list("id", flat=True)) for model in (ClientChange, RuleChange)]
    return [export(), Publication.objects.count(), waiting, platform.content()]


def empty_tables() -> None:
    """Deletes all rows that a config file describes."""
    for model in (AlertRule, Block, Override, SegmentOverride, Client, Policy, Endpoint, Plan):
        model.objects.all().delete()
