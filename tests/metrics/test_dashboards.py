"""The dashboard, the alerting rules and the documentation contain exactly the exported metrics."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from limits.monitoring.drain import drain
from limits.monitoring.prometheus import instruments
from ratelimit_enforcer.engine import CheckRequest, get_engine
from ratelimit_enforcer.store.errors import StoreUnavailable
from tests.api.conftest import CLIENTS
from tests.metrics.scraping import Samples, Scraper
from tests.metrics.test_page import WATCHED
from tests.monitoring.counting import count_settlements
from tests.publishing.platforms import Platform
from tests.support.servers import Store

pytestmark = pytest.mark.django_db

DOCS = Path(__file__).resolve().parents[2] / "docs"
NAME = re.compile(r"\bratelimit_\w+")
SELECTED = re.compile(r"(ratelimit_\w+)\{([^}]*)\}")
LABEL = re.compile(r'(\w+)\s*(?:=~|!=|!~|=)\s*"')
GROUPED = re.compile(r"by \(([^)]*)\)")
BY_PROMETHEUS = {"instance", "job", "le"}


@pytest.fixture
def exported(store: Store, platform: Platform, scraper: Scraper) -> Samples:
    """The samples of a server in which each counter has been counted once."""
    store.publish(WATCHED)
    store.load(*CLIENTS)
    get_engine().check(CheckRequest("ann", "search"))
    get_engine().check_in_order([CheckRequest("ann", "search")] * 2)
    instruments().store_failed(StoreUnavailable("gone"))
    instruments().breaker_changed(is_open=True)
    instruments()._degraded.labels("search", "admitted").inc()
    count_settlements(platform, "ann", (1, 1, 1, 1, 1, 1))
    drain()
    return scraper.scrape()


def expressions() -> Iterator[tuple[str, str]]:
    """(place, PromQL expression)"""
    dashboard: dict[str, Any] = json.loads((DOCS / "grafana-dashboard.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield f"dashboard: {panel['title']}", target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield f"dashboard: ${variable['name']}", variable["query"]["query"]
    rules = yaml.safe_load((DOCS / "prometheus-alerts.yml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield f"alert: {rule['alert']}", rule["expr"]


def test_every_metric_name_is_exported(exported: Samples) -> None:
    names = {name for name, _ in exported}
    unknown = [(where, name) for where, text in expressions() for name in NAME.findall(text) if name not in names]
    assert unknown == []


def test_every_label_exists_on_its_metric(exported: Samples) -> None:
    labels: dict[str, set[str]] = {}
    for name, has in exported:
        labels.setdefault(name, set()).update(dict(has))
    for where, text in expressions():
        for name, selector in SELECTED.findall(text):
            assert set(LABEL.findall(selector)) <= labels[name] | BY_PROMETHEUS, where
        known = {label for name in NAME.findall(text) for label in labels[name]} | BY_PROMETHEUS
        for group in GROUPED.findall(text):
            assert {label.strip() for label in group.split(",")} <= known, where


def test_exactly_the_exported_metrics_are_documented(exported: Samples) -> None:
    table = re.findall(r"^\| `(ratelimit_\w+)` \|", (DOCS / "metrics.md").read_text(encoding="utf-8"), re.MULTILINE)
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name, _ in exported if not name.endswith("_created")}
    assert set(table) == names
    assert len(table) == len(set(table))


def test_names_and_units_follow_the_conventions_of_prometheus(exported: Samples) -> None:
    for name, _ in exported:
        assert re.fullmatch(r"ratelimit_[a-z_]+", name)
        assert not name.endswith(("_ms", "_milliseconds", "_us", "_minutes"))


def test_every_alert_has_severity_summary_and_description() -> None:
    rules = yaml.safe_load((DOCS / "prometheus-alerts.yml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_panels_do_not_overlap() -> None:
    panels = json.loads((DOCS / "grafana-dashboard.json").read_text(encoding="utf-8"))["panels"]
    places = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)
