"""Random config files: every section, every field, every algorithm."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from ratelimit_enforcer.domain.enums import (
    AlertMetric,
    Algorithm,
    ClientStatus,
    GroupBy,
    Mode,
    OnStoreFailure,
    Partition,
    Period,
)
from ratelimit_enforcer.domain.limit import MAX_BURST, MAX_COST, MAX_QUOTA, MAX_WINDOW_SECONDS, max_quota
from ratelimit_enforcer.domain.routes import Route
from tests.support.histories import ZONES

Item = dict[str, Any]

START = datetime(2126, 1, 1, tzinfo=UTC)
THRESHOLDS = {
    AlertMetric.THROTTLED: st.integers(1, 10**12),
    AlertMetric.THROTTLED_RATIO: st.floats(0, 1, exclude_min=True),
    AlertMetric.USAGE_RATIO: st.sampled_from([0.5, 0.8, 0.9, 1, 1.0]),
    AlertMetric.OVERDRAWN: st.integers(1, 10**12),
    AlertMetric.OVER_QUOTA: st.integers(1, 10**12),
    AlertMetric.PLATFORM: st.just(1),
}
MISLEADING = ["0100", "1:30", "0x1f", "yes", "Off", "null", "~", "1_000", "1e3", ".inf", "2026-12-01", "=", "<<", "- a"]
"""Texts that YAML reads as something else without quotes."""

CHARACTERS = st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from("=+-@'\"#:\u2028\u2029\ufeff\u00a0")


def texts(most: int, least: int = 0) -> st.SearchStrategy[str]:
    """Valid names, keys and reasons."""
    return st.text(CHARACTERS, min_size=least, max_size=most) | st.sampled_from(MISLEADING)


def words(vocabulary: Any) -> st.SearchStrategy[str]:
    return st.sampled_from([word.value for word in vocabulary])


SLUGS = st.from_regex(r"[a-z0-9-]{1,12}", fullmatch=True) | st.sampled_from(["no", "on", "null", "1", "0100", "-"])


def slugs(most: int) -> st.SearchStrategy[list[str]]:
    return st.lists(SLUGS, max_size=most, unique=True)


@st.composite
def routes(draw: st.DrawFn) -> str:
    segment = st.text(st.characters(codec="ascii", min_codepoint=45, exclude_characters="?{}/*\x7f"), max_size=4)
    parts = draw(
        st.lists(segment.filter(lambda text: text not in (".", "..")) | st.just("{id}"), min_size=1, max_size=3)
    )
    rest = draw(st.sampled_from(["", "/*"]))
    return f"{draw(st.sampled_from(['GET', 'POST', '*', 'HEAD']))} /{'/'.join(parts)}{rest}"


@st.composite
def limits(draw: st.DrawFn) -> Item:
    algorithm = draw(st.sampled_from(Algorithm))
    quota = draw(st.integers(0, 20) | st.integers(0, MAX_QUOTA))
    if algorithm is Algorithm.CALENDAR:
        zone = draw(ZONES)
        fields = {"period": draw(words(Period))} | ({"timezone": zone} if zone else {})
        return {"quota": quota, "algorithm": algorithm.value, **fields}
    window = draw(st.integers(1, MAX_WINDOW_SECONDS) | st.sampled_from([1, 60, MAX_WINDOW_SECONDS]))
    item: Item = {"quota": min(quota, max_quota(algorithm)), "window": window, "algorithm": algorithm.value}
    if algorithm is Algorithm.TOKEN_BUCKET and draw(st.booleans()):
        item["burst"] = draw(
            st.integers(1, min(MAX_BURST, MAX_WINDOW_SECONDS * quota // window) if quota else MAX_BURST)
        )
    return item


def _name(item: Item) -> Any:
    if item["algorithm"] == Algorithm.CONCURRENCY:
        return Algorithm.CONCURRENCY
    return item.get("period") or (item["algorithm"], item["window"])


LIMITS = st.lists(limits(), min_size=1, max_size=4, unique_by=_name)


def _optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Item]:
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def documents(draw: st.DrawFn) -> Item:
    """A valid config file for an empty platform."""
    plans, endpoints, policies = draw(slugs(3)), draw(slugs(3)), draw(slugs(4))
    document: Item = {
        "plans": [{"slug": slug, **draw(_optional(name=texts(20)))} for slug in plans],
        "endpoints": list(_endpoints(draw, endpoints)),
        "policies": [_policy(draw, slug, plans, endpoints) for slug in policies],
        "clients": list(_clients(draw, plans)),
    }
    if plans:
        draw(st.sampled_from(document["plans"]))["default"] = True
    document["overrides"] = list(_overrides(draw, document))
    document["alert_rules"] = list(_alert_rules(draw, document))
    return document


def _endpoints(draw: st.DrawFn, slugs: list[str]) -> Iterator[Item]:
    shapes: set[str] = set()
    for slug in slugs:
        item = {"slug": slug, **draw(_optional(name=texts(20), cost=st.integers(1, MAX_COST)))}
        item["routes"] = [text for text in draw(st.lists(routes(), max_size=3)) if _is_new(text, shapes)]
        yield item


def _is_new(route: str, shapes: set[str]) -> bool:
    shape = Route.parse(route).shape
    known = shape in shapes
    shapes.add(shape)
    return not known


def _policy(draw: st.DrawFn, slug: str, plans: list[str], endpoints: list[str]) -> Item:
    optional = _optional(
        name=texts(20),
        plan=st.sampled_from([None, *plans]),
        endpoint=st.sampled_from([None, *endpoints]),
        partition=words(Partition),
        mode=words(Mode),
        on_store_failure=words(OnStoreFailure),
    )
    return {"slug": slug, "limits": draw(LIMITS), **draw(optional)}


def _clients(draw: st.DrawFn, plans: list[str]) -> Iterator[Item]:
    optional = _optional(name=texts(20), plan=st.sampled_from([None, *plans]), status=words(ClientStatus))
    for key in draw(st.lists(texts(20, least=1), max_size=4, unique=True)):
        yield {"key": key, **draw(optional)}


def _overrides(draw: st.DrawFn, document: Item) -> Iterator[Item]:
    """One override that started long ago, and one that starts at its end."""
    keys = [item["key"] for item in document["clients"]]
    slugs = [item["slug"] for item in document["policies"] if item.get("partition") != "global"]
    pairs = [(key, slug) for key in keys for slug in slugs]
    for key, slug in draw(st.lists(st.sampled_from(pairs), max_size=3, unique=True)) if pairs else ():
        edge = START + timedelta(microseconds=draw(st.integers(0, 10**14)))
        ends = draw(st.sampled_from([None, edge]))
        yield _override(draw, key, slug, draw(st.sampled_from([None, START - timedelta(days=1)])), ends)
        if ends is not None and draw(st.booleans()):
            yield _override(draw, key, slug, ends, None)


def _override(draw: st.DrawFn, key: str, slug: str, starts: datetime | None, ends: datetime | None) -> Item:
    times = {"starts_at": starts, "ends_at": ends}
    moments = {name: moment.isoformat() for name, moment in times.items() if moment}
    return {"client": key, "policy": slug, "limits": draw(LIMITS), **moments, **draw(_optional(reason=texts(20)))}


def _alert_rules(draw: st.DrawFn, document: Item) -> Iterator[Item]:
    for name in draw(st.lists(texts(20, least=1).filter(str.strip), max_size=2, unique=True)):
        yield {"name": name, **_alert_rule(draw, document)}


def _alert_rule(draw: st.DrawFn, document: Item) -> Item:
    metric = draw(st.sampled_from(AlertMetric))
    item = {
        "metric": metric.value,
        "threshold": draw(THRESHOLDS[metric]),
        "emails": ["ops@example.com", "a+b@example.org"][: draw(st.integers(1, 2))],
        **draw(
            _optional(
                window=st.integers(1, 1_440).map(lambda minutes: 60 * minutes),
                cooldown=st.integers(0, 30 * 86_400),
                webhooks=st.sampled_from([[], ["https://hooks.example.com/a?b=c"]]),
                min_requests=st.integers(1, 10**12),
                notify_resolved=st.booleans(),
            )
        ),
    }
    if metric is AlertMetric.PLATFORM:
        return item
    return item | _filters(draw, document, of_policies=metric is not AlertMetric.OVERDRAWN)


def _filters(draw: st.DrawFn, document: Item, *, of_policies: bool) -> Item:
    sections = {"plan": "plans", "endpoint": "endpoints"} | ({"policy": "policies"} if of_policies else {})
    names = {field: [item["slug"] for item in document[section]] for field, section in sections.items()}
    filters = {field: st.sampled_from([None, *known]) for field, known in names.items()}
    groups = st.sampled_from(
        [None, "none", *(word.value for word in GroupBy if of_policies or word is not GroupBy.POLICY)]
    )
    return draw(_optional(client=texts(20, least=1), group_by=groups, **filters))
