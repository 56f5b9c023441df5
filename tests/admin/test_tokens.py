"""API tokens in the admin: the secret is shown once."""

import hashlib
import re

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from limits.models import ApiToken, Publication
from tests.admin.desk import Desk, Page
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = re.compile(r"rl_[\w-]{43}")


def test_the_page_after_adding_shows_the_secret_and_is_not_cached(desk: Desk, shop: Platform) -> None:
    page = desk.add(ApiToken, name="checkout", scopes="check")
    (secret,) = set(SECRET.findall(page.text))
    token = ApiToken.objects.get()
    assert token.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert token.hint == secret[-4:]
    assert "no-store" in page.response["Cache-Control"]
    assert [each.digest for each in shop.ruleset.tokens] == [token.digest]


def test_the_secret_is_shown_nowhere_else(desk: Desk, shop: Platform) -> None:
    (secret,) = set(SECRET.findall(desk.add(ApiToken, name="checkout", scopes="check").text))
    token = ApiToken.objects.get()
    later = [desk.list(ApiToken), desk.open(reverse("admin:limits_apitoken_change", args=[token.pk]))]
    later += [desk.list(Publication), desk.open(reverse("admin:index"))]
    assert not any(SECRET.search(page.text) or token.digest in page.text for page in later)
    kept = [*Publication.objects.values_list("content", flat=True), *map(str, LogEntry.objects.all())]
    assert not any(secret in text for text in kept)
    assert not any(secret.encode() in value for value in shop.content().values())


def test_a_revoked_token_is_removed_from_the_rules_and_stays_in_the_list(desk: Desk, shop: Platform) -> None:
    desk.add(ApiToken, name="checkout", scopes="check")
    page = desk.act("revoke", ApiToken.objects.get())
    assert "Version 3 is live on every server." in page.messages
    assert shop.ruleset.tokens == ()
    assert "revoked" in desk.list(ApiToken).text


def test_a_repeated_revocation_keeps_the_first_time(desk: Desk, shop: Platform) -> None:
    desk.add(ApiToken, name="checkout", scopes="check")
    desk.act("revoke", ApiToken.objects.get())
    revoked_at = ApiToken.objects.get().revoked_at
    desk.act("revoke", ApiToken.objects.get())
    assert ApiToken.objects.get().revoked_at == revoked_at


def test_a_token_cannot_be_deleted(desk: Desk, shop: Platform) -> None:
    token = rows.token()
    path = reverse("admin:limits_apitoken_delete", args=[token.pk])
    assert Page(desk.client.post(path, {"post": "yes"})).status == 403
    assert ApiToken.objects.exists()


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"name": "a"}, "scopes"), ({"scopes": "check"}, "name"), ({"name": "shop", "scopes": "check"}, "name")],
)
def test_an_invalid_token_is_reported_at_its_field(
    desk: Desk, shop: Platform, fields: dict[str, str], field: str
) -> None:
    rows.token("shop")
    page = desk.add(ApiToken, **{"scopes": None} | fields)
    assert list(page.errors) == [field]
    assert ApiToken.objects.count() == 1
