"""The sentence that describes partition and conditions while they are typed."""

import pytest
from django.test import Client as Browser
from django.urls import reverse

from limits.models import Policy
from tests.admin.desk import Desk
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

URL = "admin:limits_policy_conditions_sentence"


def said(desk: Desk, partition: str = "client", **typed: str) -> dict[str, str]:
    answer: dict[str, str] = desk.client.post(reverse(URL), {"partition": partition, **typed}).json()
    return answer


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({}, "No conditions; each client is counted separately."),
        (
            {"partition": "global", "attributes": "ip", "match": "client_tags: trial"},
            "Applies only to checks whose client has the tag trial; all clients are counted together for each ip. "
            "Example: acme with the tag trial is counted; acme without the tag trial is not.",
        ),
        (
            {"attributes": "model", "match": "model: gpt-*, o1\n\n region: eu "},
            "Applies only to checks whose model is “gpt-*” or “o1” and whose region is “eu”; each client is counted "
            "separately for each model. Example: acme with model “gpt-x” and region “eu” is counted; acme without the "
            "attribute model is not.",
        ),
    ],
)
def test_typed_conditions_are_described(desk: Desk, shop: Platform, typed: dict[str, str], sentence: str) -> None:
    assert said(desk, **typed) == {"sentence": sentence}


@pytest.mark.parametrize(
    "typed",
    [
        {"attributes": "IP"},
        {"attributes": "ip ip"},
        {"match": "gpt-x"},
        {"match": "a: b\na: c"},
        {"match": "client: x"},
        {"match": "client_tags: A"},
        {"match": "model: " + "x" * 257},
        {"match": "model: " + ", ".join("x" * 101)},
        {"attributes": "IP", "match": "gpt-x"},
        {"partition": "each"},
    ],
)
def test_errors_are_those_of_saving(desk: Desk, shop: Platform, typed: dict[str, str]) -> None:
    page = desk.change(Policy.objects.get(), **typed)
    assert set(page.errors) == set(typed)
    assert said(desk, **typed) == {"problem": " ".join(page.errors[field][0] for field in typed)}
    assert {field: page.fields[field] for field in typed} == typed


def test_long_conditions_are_described(desk: Desk, shop: Platform) -> None:
    """They are longer than the URLs that servers accept."""
    lines = (f"a{number}: {', '.join([letter * 256 for letter in 'bcdefghijk'] * 10)}" for number in range(8))
    assert said(desk, match="\n".join(lines))["sentence"].startswith("Applies only to checks whose a0 is “bbb")


def test_the_sentence_requires_a_login_and_a_post(desk: Desk, shop: Platform) -> None:
    assert Browser().post(reverse(URL)).status_code == 302
    assert desk.client.get(reverse(URL)).status_code == 405
