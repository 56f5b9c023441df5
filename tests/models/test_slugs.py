"""Slugs and keys: valid forms, and that they cannot be changed in any way."""

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from limits.models import Client, Endpoint, Plan, Policy
from tests.models import rows
from tests.models.conftest import Refused

pytestmark = pytest.mark.django_db

BAD_SLUGS = ["", "Free", "free plan", "frée", "free_plan", "free\n", "a:b"]
SLUG_MODELS = [Plan, Endpoint, Policy]
BAD_KEYS = {"": "client_key_not_empty", "a\nb": "client_key_printable", "a\x85b": "client_key_printable"}


@pytest.mark.parametrize("model", SLUG_MODELS)
@pytest.mark.parametrize("slug", BAD_SLUGS)
def test_the_database_rejects_invalid_slugs(model: type, slug: str, refused: Refused) -> None:
    with refused("slug_shape"):
        model.objects.bulk_create([model(slug=slug, name="Name")])


@pytest.mark.parametrize("model", SLUG_MODELS)
@pytest.mark.parametrize("slug", BAD_SLUGS)
def test_the_form_rejects_invalid_slugs(model: type, slug: str) -> None:
    with pytest.raises(ValidationError) as caught:
        model(slug=slug, name="Name").full_clean()
    assert list(caught.value.message_dict) == ["slug"]


@pytest.mark.parametrize("model", SLUG_MODELS)
def test_a_slug_has_at_most_64_characters(model: type, refused: Refused) -> None:
    model.objects.create(slug="a" * 64, name="Name")
    with refused("too long"):
        model.objects.bulk_create([model(slug="a" * 65, name="Name")])


@pytest.mark.parametrize("model", SLUG_MODELS)
def test_slugs_are_unique(model: type, refused: Refused) -> None:
    model.objects.create(slug="one", name="Name")
    with refused("slug"):
        model.objects.bulk_create([model(slug="one", name="Name")])


@pytest.mark.parametrize("model", SLUG_MODELS)
def test_the_database_rejects_a_changed_slug(model: type, refused: Refused) -> None:
    model.objects.create(slug="one", name="Name")
    with refused(r"A slug never changes \(one\)"):
        model.objects.update(slug="two")


@pytest.mark.parametrize("model", SLUG_MODELS)
def test_the_form_reports_a_changed_slug(model: type) -> None:
    row = model.objects.create(slug="one", name="Name")
    row.slug = "two"
    with pytest.raises(ValidationError) as caught:
        row.full_clean()
    assert caught.value.message_dict == {"slug": ["The slug “one” cannot be changed."]}


@pytest.mark.parametrize(("key", "constraint"), BAD_KEYS.items())
def test_the_database_rejects_invalid_client_keys(key: str, constraint: str, refused: Refused) -> None:
    with refused(constraint):
        Client.objects.bulk_create([Client(key=key)])


@pytest.mark.parametrize("key", [*BAD_KEYS, "a\x00b", "k" * 257])
def test_the_form_rejects_invalid_client_keys(key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Client(key=key).full_clean()
    assert list(caught.value.message_dict) == ["key"]


@pytest.mark.parametrize("key", ["k" * 256, "Ключ 🔑", "a:b{c}", " "])
def test_a_client_key_may_contain_any_printable_character(key: str) -> None:
    Client(key=key).full_clean()
    assert rows.client(key).key == key


def test_client_keys_are_unique(refused: Refused) -> None:
    rows.client("acme")
    with refused("limits_client_key"):
        Client.objects.bulk_create([Client(key="acme")])


def test_the_database_rejects_a_changed_client_key(refused: Refused) -> None:
    rows.client("acme")
    with refused(r"The key of a client never changes \(acme\)"), connection.cursor() as cursor:
        cursor.execute("UPDATE limits_client SET key = 'other'")


def test_the_form_reports_a_changed_client_key() -> None:
    row = rows.client("acme")
    row.key = "other"
    with pytest.raises(ValidationError) as caught:
        row.full_clean()
    assert caught.value.message_dict == {"key": ["The key “acme” cannot be changed."]}
