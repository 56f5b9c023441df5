"""All URLs of the admin, from the URL resolver, and malicious requests to them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model
from django.urls import URLPattern, URLResolver
from django.utils import timezone

from limits.changes.lifecycle import Actor, start
from limits.configfile.client_files import continue_import
from limits.domain.edits import Edit
from limits.models import (
    Client,
    ClientImport,
    CounterReset,
    Endpoint,
    Message,
    NotificationChannel,
    Policy,
    PolicyDenial,
    QuotaReading,
    QuotaThreshold,
    Usage,
    UsageDay,
    UsageHour,
)
from limits.monitoring.alerts import evaluate
from tests.models import rows

NUL = "a\x00b"
HUGE = "9" * 30
"""A number too large for any column of PostgreSQL."""

ODD_IDS = ["0", HUGE, "-1", "abc", "²", "a/b", "%00"]


def _each(names: str, *values: str) -> list[dict[str, str]]:
    """One query for each value, in which all of these names have this value."""
    return [dict.fromkeys(names.split(), value) for value in values]


QUERIES: list[dict[str, str]] = [
    *_each("q", NUL, "'\"\\", "%", "x" * 5_000, "\U0001f600", "acme globex"),
    *_each("p", "0", "-1", "abc", HUGE, "٣", ""),
    *_each("o", "1", "-1", "99", "-99", "abc", "1.2.3.-4", HUGE, "..", "²"),
    *({"e": "1", name: "abc"} for name in ("e", "id__exact", "plan__id__exact", "nothing")),
    *_each("_changelist_filters", "%", NUL, "q=%00&a", "a=b&a=c&%ff"),
    *_each("_to_field", "", "id", "nothing", "pk"),
    *({name: "1"} for name in ("all", "_popup", "_facets", NUL, "nothing", "id__nothing")),
    *(
        query
        for lookup in ("range", "in", "exact", "gt", "regex")
        for query in _each(f"id__{lookup}", "", "abc", HUGE, "1,2")
    ),
    *(query for name in ("endpoint", "client_key", "rule__id__exact") for query in _each(name, "", NUL, "abc")),
    *(query for name in ("plan__id__exact", "policy__id__exact") for query in _each(name, "", "abc", HUGE)),
    *_each("created_at__date__gte minute__date__exact", "", "2026-13-45"),
    *_each("created_at__date__gte", "", "2026-13-45"),
    *(query for name in ("resolved_at", "sent_at") for query in _each(f"{name}__isempty", "2", "abc", "")),
    *(query for name in ("status", "mode", "outcome", "mark") for query in _each(f"{name}__exact", NUL, "abc", HUGE)),
    *_each("client request", NUL, "x" * 300, "", "GET /%00", "GET " + "/a" * 2_000),
    *_each("quota window_0 window_1 algorithm period timezone burst", HUGE, "9" * 5_000, "²", "-1", NUL),
    *({"quota": "1", "algorithm": word, "burst": HUGE, "period": "x"} for word in ("calendar", "token_bucket")),
    *_each("policy percent until last_day", NUL, "abc"),
    *_each(
        "client_key prefix network whom alert", NUL, "abc", HUGE, "ip:", "ip:203.0.113.7", "203.0.113.7/24", "x" * 300
    ),
    {"whom": "network", "client_key": "ip:203.0.113.7", "alert": HUGE, "ends_at_0": "²", "ends_at_1": "25:00"},
    {"term": NUL, "app_label": "limits", "model_name": "override", "field_name": "client"},
    {"term": "x", "app_label": "x", "model_name": "y", "field_name": "z"},
    *_each("tag tags", "abc", "Größe", "x" * 300, "a,b c"),
    *_each("plan starts_at starts_at_0 scopes emails webhooks key slug client", "abc", "2026-13-45", HUGE),
]

GARBAGE: list[dict[str, Any]] = [
    {},
    {"post": "yes", "_confirm": "1", "why": NUL, "reviewed_version": HUGE},
    {"action": "delete_selected", "_selected_action": ["abc", HUGE, NUL], "post": "yes", "index": "0", "why": "x"},
    {"action": NUL, "_selected_action": "1", "index": "abc", "select_across": "abc"},
    {"action": "nothing", "_selected_action": "1", "select_across": "1"},
    {"client": "abc", "plan": "abc", "endpoint": HUGE, "policy": NUL, "key": NUL, "slug": "²", "starts_at_0": "²"},
    {
        "action": HUGE,
        "plan": HUGE,
        "_move": "1",
        "_add_tags": "1",
        "tags": NUL,
        "slug": NUL,
        "name": NUL,
        "_to_field": "",
    },
    {"conflict": NUL, "value": "mine", "seen": HUGE, "percent": "²", "publish_at_0": "²", "revert_at_0": HUGE},
    {"_edit_again": "1", "_saveasnew": "1", "_popup": "1", "limits-TOTAL_FORMS": HUGE, "limits-INITIAL_FORMS": "-1"},
]
"""Forms that no page of the admin sends."""


@dataclass(frozen=True)
class Address:
    """``route``: in Django's notation, such as ``limits/plan/<path:object_id>/change/``."""

    route: str
    name: str

    @property
    def model(self) -> str:
        """The name of the model of the page; empty if none."""
        parts = self.route.split("/")
        return parts[1] if parts[0] in ("limits", "auth") and len(parts) > 2 else ""

    @property
    def takes_a_row(self) -> bool:
        return bool(re.search(r"<(\w+:)?(object_id|id)>", self.route))

    def path(self, row: str, base: str = "/admin/") -> str:
        values = {"object_id": row, "id": row, "status": "blocked", "app_label": "limits", "url": "nothing"}
        values |= {"content_type_id": row, "line": "1", "run": "1"}
        return base + re.sub(r"<(?:\w+:)?(\w+)>", lambda found: values[found[1]], self.route)


def addresses() -> list[Address]:
    """All URLs of the admin."""
    return list(_addresses(admin.site.get_urls(), ""))


def _addresses(patterns: list[Any], prefix: str) -> Iterator[Address]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _addresses(pattern.url_patterns, prefix + str(pattern.pattern))
        elif isinstance(pattern, URLPattern):
            yield Address(prefix + _route(pattern), pattern.name or "")


def _route(pattern: URLPattern) -> str:
    """The route of a pattern; a regular expression is converted to a route."""
    text = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"<\1>", str(pattern.pattern))
    return text.removeprefix("^").removesuffix("$").removesuffix("\\Z")


def a_row_of_every_kind() -> None:
    """Creates a row of every model that the shop does not have."""
    endpoint = rows.endpoint("search", "GET /search")
    rows.override_limit(rows.override(Client.objects.get(), Policy.objects.get()))
    rows.grant(Client.objects.get(), rows.monthly_policy())
    rows.segment_override(Policy.objects.get(slug="all"), tags=["wholesale"])
    rows.block(client_key="globex")
    rows.policy("pro-search", plan=rows.plan("pro"), endpoint=endpoint)
    rows.token()
    NotificationChannel.objects.create(slug="ops", url="https://hooks.slack.com/services/T1/B1/hush")
    rows.alert_rule("search-abuse", group_by="client")
    now = timezone.now().replace(second=0, microsecond=0)
    counted = {"minute": now, "client_key": "globex", "endpoint": "search", "requests": 60}
    Usage.objects.create(**counted, outcome="denied", cost=60)
    PolicyDenial.objects.create(**counted, policy="search", mode="enforce")
    QuotaThreshold.objects.create(**counted, policy="search", mark=80)
    read = {"read_at": now, "unused_at": now, "peak_percent": 90, "peak_at": now, "policy": "search"}
    QuotaReading.objects.create(client_key="acme", limit="search:60s", used=8, capacity=10, percent=80, **read)
    for model, time in ((UsageHour, "hour"), (UsageDay, "day")):
        at = {time: now.replace(minute=0)}
        model.objects.create(**at, client_key="", endpoint="", outcome="denied", requests=60, cost=60)
    assert evaluate() == 1
    Message.objects.create(channel="mail", kind="opened", destination="a@example.com", message_id="1", created_at=now)
    CounterReset.objects.create(client_key="acme", author="ada", reason="A load test.")
    upload = ClientImport.objects.create(file_name="a.csv", content="key\nb\n", reason="x", author="ada")
    continue_import(upload.pk, 60)
    start("Sale", Actor("somebody"), [Edit(("policies", "all", "limits", "60s", "quota"), 100, 20)], "Spring")
    assert Endpoint.objects.exists()
    assert User.objects.exists()


def row_of(model: str) -> str:
    """The primary key of a row of a model; “1” if there is none."""
    for registered in admin.site._registry:
        if registered._meta.model_name == model:
            found: Model | None = registered._default_manager.first()
            return str(found.pk) if found else "1"
    return "1"
