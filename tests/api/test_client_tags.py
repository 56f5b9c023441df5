"""Tags of clients over HTTP, and the lists of clients by tag and by the beginning of the key."""

from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.db.models import QuerySet
from pytest_django import Settings

from api.management import registry
from api.management.requests import PageRequest
from limits.models import Client, Policy
from limits.publishing import rules
from limits.publishing.reconciler import go_live
from tests.api.test_clients import Manager, begin
from tests.models import many, rows

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 12_000
TOO_MANY = [f"t{number}" for number in range(33)]
NOT_A_TAG = "each tag must consist of lowercase letters, digits and hyphens, such as “free-search”."


@pytest.fixture
def manager(settings: Settings, redis_url: str, request: pytest.FixtureRequest) -> Manager:
    return begin(settings, redis_url, f"tags-{abs(hash(request.node.nodeid))}")


def keys(manager: Manager, query: str) -> list[str]:
    """The keys of all pages of this list."""
    found, address = [], f"/v1/clients?{query}"
    while address:
        page = manager.ask("GET", address).json()
        found += [client["key"] for client in page["clients"]]
        address = page["next"]
    return found


def test_tags_are_written_sorted_and_apply_to_the_next_check(manager: Manager) -> None:
    rows.segment_override(Policy.objects.get(slug="all"), quota=7, tags=["wholesale"])
    rules.record("tests")
    assert go_live().live
    made = manager.client("PUT", "acme", {"tags": ["wholesale", "eu"]})
    assert (made.status_code, made.json()["tags"]) == (201, ["eu", "wholesale"])
    assert manager.client("GET", "acme").json()["tags"] == ["eu", "wholesale"]
    assert manager.decision("acme")["limits"][0]["quota"] == 7
    assert manager.client("PATCH", "acme", {"tags": ["eu"]}).json()["tags"] == ["eu"]
    assert manager.decision("acme")["limits"][0]["quota"] == 3


def test_put_without_tags_removes_them_and_patch_keeps_them(manager: Manager) -> None:
    manager.client("PUT", "acme", {"tags": ["eu"]})
    assert manager.client("PATCH", "acme", {"name": "Acme"}).json()["tags"] == ["eu"]
    assert manager.client("PUT", "acme", {"name": "Acme"}).json()["tags"] == []
    assert Client.objects.get().tags == []
    manager.client("PUT", "acme", {"tags": ["eu"]})
    assert manager.client("PATCH", "acme", {"tags": []}).json()["tags"] == []


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (None, "must be a list of tags."),
        ("eu", "must be a list of tags."),
        ({"eu": 1}, "must be a list of tags."),
        (["eu", 5], "must be a list of tags."),
        ([["eu"]], "must be a list of tags."),
        (["eu", ""], NOT_A_TAG),
        (["Eu"], NOT_A_TAG),
        (["a b"], NOT_A_TAG),
        (["eu\n"], NOT_A_TAG),
        (["\ud800"], NOT_A_TAG),
        (["x" * 65], "each tag must have at most 64 characters."),
        (["eu", "us", "eu"], "must not contain a tag twice."),
        (TOO_MANY, "must be at most 32 tags."),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_invalid_tags_are_reported_and_change_nothing(manager: Manager, method: str, tags: Any, message: str) -> None:
    rows.client("acme", tags=["us"])
    response = manager.client(method, "acme", {"tags": tags})
    assert (response.status_code, response.json()["errors"]) == (400, {"tags": [message]})
    assert Client.objects.get().tags == ["us"]


def test_a_client_may_have_32_tags_of_64_characters(manager: Manager) -> None:
    tags = [f"{number:064}" for number in range(32)]
    assert manager.client("PUT", "acme", {"tags": tags}).json()["tags"] == tags
    assert keys(manager, "&".join(f"tag={tag}" for tag in tags)) == ["acme"]


def test_the_list_shows_tags_and_is_filtered_by_all_given_ones(manager: Manager) -> None:
    for key, tags in {"a": ["eu"], "b": ["eu", "wholesale"], "c": ["wholesale"], "d": []}.items():
        rows.client(key, tags=tags)
    shown = manager.ask("GET", "/v1/clients").json()["clients"]
    assert [client["tags"] for client in shown] == [["eu"], ["eu", "wholesale"], ["wholesale"], []]
    assert keys(manager, "tag=eu") == ["a", "b"]
    assert keys(manager, "tag=wholesale&tag=eu") == ["b"]
    assert keys(manager, "tag=e") == []


@pytest.mark.parametrize(
    "prefix", ["a", "A", "ä", "a_", "a%", "a\\", "a ", "a&tag=x", "😀", "\U0010ffff", "a" * 256, "z"]
)
def test_a_prefix_is_compared_by_code_points(manager: Manager, prefix: str) -> None:
    known = ["a", "a b", "a%1", "a&tag=x", "a1", "a\\1", "a_1", "ab", "A1", "a\u0308", "ä", "äb", "Ä"]
    known += ["😀", "😀b", "😁", "\ufffd", "\U0010ffff\U0010ffff", "a" * 256, "a" * 255]
    for key in known:
        rows.client(key)
    found = keys(manager, f"limit=2&prefix={quote(prefix, safe='')}")
    assert found == sorted(key for key in known if key.startswith(prefix))


def test_the_list_is_in_the_order_of_code_points(manager: Manager) -> None:
    known = ["b", "B", "a-1", "a1", "a_1", "ä", "Z", "\ufffd", "😀", "a 1"]
    for key in known:
        rows.client(key)
    assert keys(manager, "limit=3") == sorted(known)


def test_filters_are_combined_and_hold_on_the_next_page(manager: Manager) -> None:
    for number in range(9):
        for team in ("x &", "y"):
            rows.client(
                f"{team}{number}",
                tags=["eu", "vip"] if number % 2 else ["eu"],
                status="blocked" if number > 4 else "active",
            )
    query = f"limit=1&prefix={quote('x &')}&tag=vip&tag=eu"
    assert keys(manager, query) == ["x &1", "x &3", "x &5", "x &7"]
    assert keys(manager, f"{query}&status=blocked") == ["x &5", "x &7"]
    assert keys(manager, f"{query}&after={quote('x &4')}") == ["x &5", "x &7"]
    assert keys(manager, f"{query}&plan=pro") == []


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("tag=", {"tag": [NOT_A_TAG]}),
        ("tag=eu&tag=EU", {"tag": [NOT_A_TAG]}),
        ("tag=eu&tag=eu", {"tag": ["must not contain a tag twice."]}),
        ("&".join(f"tag={tag}" for tag in TOO_MANY), {"tag": ["must be at most 32 tags."]}),
        ("tags=eu", {"tags": ["is not a query parameter here."]}),
        ("prefix=", {"prefix": ["must have 1 to 256 characters."]}),
        (f"prefix={'x' * 257}", {"prefix": ["must have 1 to 256 characters."]}),
        ("prefix=a%00", {"prefix": ["must not contain control characters."]}),
        ("prefix=a&prefix=b", {"prefix": ["must be given once."]}),
        ("tag=A&prefix=", {"tag": [NOT_A_TAG], "prefix": ["must have 1 to 256 characters."]}),
    ],
)
def test_invalid_filters_are_reported(manager: Manager, query: str, errors: dict[str, list[str]]) -> None:
    response = manager.ask("GET", f"/v1/clients?{query}")
    assert (response.status_code, response.json()["errors"]) == (400, errors)


@pytest.fixture
def many_clients() -> None:
    tags = "CASE WHEN mod(n, 1000) = 7 THEN ARRAY['rare'] ELSE '{}' END"
    many.many_clients(MANY, key="'key-' || n", tags=tags)


def page(**filters: Any) -> QuerySet[Client]:
    return registry.selected(PageRequest(**filters))[:100]


@pytest.mark.parametrize("prefix", ["key-9", "key-11999", "key-", "zzz"])
def test_a_prefix_among_many_clients_reads_no_others(many_clients: None, prefix: str) -> None:
    plan = page(prefix=prefix).explain(analyze=True)
    assert "Index Scan using client_key_order on limits_client" in plan
    assert f">= '{prefix}'" in plan
    assert "Rows Removed by Filter" not in plan


def test_tags_among_many_clients_use_their_index(many_clients: None) -> None:
    plan = page(tag=("rare",)).explain(analyze=True)
    assert "Bitmap Index Scan on client_tags" in plan
    assert "Seq Scan on limits_client" not in plan


@pytest.mark.parametrize("filters", [{"tag": ("late",)}, {"parent": "org"}])
def test_clients_with_the_last_keys_are_found_without_reading_the_others(
    many_clients: None, filters: dict[str, Any]
) -> None:
    """Frequent enough for PostgreSQL to expect a full page soon when it reads in the order of the keys."""
    last = [f"key-{n}" for n in range(9_000, MANY) if str(n) >= "9"]
    Client.objects.filter(key__in=last).update(tags=["late"], parent=rows.client("org"))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE limits_client")
    plan = page(**filters).explain(analyze=True)
    assert "client_key_order" not in plan
    assert [client.key for client in page(**filters)] == sorted(last)[:100]
