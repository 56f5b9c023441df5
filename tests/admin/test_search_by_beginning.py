"""Searches by the beginning of a client's key or name: the text is not split into words."""

import pytest
from django.urls import reverse

from limits.models import Client, CounterReset, Override
from tests.admin.desk import Desk
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def clients(shop: Platform) -> None:
    """“acme l” is the beginning of one name; each of its words begins the key or name of acme-loose."""
    rows.client("limited", name="Acme Ltd")
    rows.client("acme-loose", name="Loose key")
    rows.client("odd", name='Say "hi\\there"')


def suggested(desk: Desk, term: str) -> list[str]:
    query = {"app_label": "limits", "model_name": "client", "field_name": "parent", "term": term}
    return [each["text"] for each in desk.client.get(reverse("admin:autocomplete"), query).json()["results"]]


def found(desk: Desk, term: str) -> list[str]:
    return [client.key for client in desk.list(Client, q=term).response.context["cl"].result_list]


@pytest.mark.parametrize(
    ("term", "keys"),
    [
        ("acme l", ["limited"]),
        (" acme l ", ["limited"]),
        ("ACME", ["acme", "acme-loose", "limited"]),
        ("loose acme", []),
        ("ltd", []),
        ('say "hi', ["odd"]),
        ('say "hi\\t', ["odd"]),
        ('"', []),
        ("\\", []),
        ("   ", ["acme", "acme-loose", "limited", "odd"]),
    ],
)
def test_the_list_of_clients(desk: Desk, term: str, keys: list[str]) -> None:
    assert found(desk, term) == keys


def test_the_suggested_parents(desk: Desk) -> None:
    assert suggested(desk, "acme l") == ["Acme Ltd"]


def test_the_list_of_overrides(desk: Desk) -> None:
    policy = rows.policy("pro-search", plan=rows.plan("pro"))
    for client in Client.objects.filter(key__in=["limited", "acme-loose"]):
        rows.override(client, policy)
    listed = desk.list(Override, q="acme l").response.context["cl"].result_list
    assert [override.client.key for override in listed] == ["limited"]


def test_the_list_of_counter_resets(desk: Desk) -> None:
    for key in ("team one", "team two", "one team"):
        CounterReset.objects.create(client_key=key, author="ada", reason="A load test.")
    listed = desk.list(CounterReset, q="team t").response.context["cl"].result_list
    assert [reset.client_key for reset in listed] == ["team two"]
