"""API tokens: authentication, scopes, and when changes take effect."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pytest_django import Settings

from api.authentication import BearerToken, TokenIndex, admit
from api.problems import ProblemResponse
from ratelimit_enforcer.domain.enums import Scope
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.engine import Engine, StoreUnavailable
from tests.api.conftest import SHOP, Caller, token
from tests.support.servers import Store

SEARCH = {"client": "ann", "endpoint": "search"}
REALM = 'Bearer realm="ratelimit"'


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    "header", ["", "checker", "Bearer", "Bearer ", "Basic checker", "Bearerchecker", "Token checker"]
)
@pytest.mark.parametrize("path", ["/v1/check", "/v1/peek"])
def test_without_a_token(caller: Caller, path: str, header: str) -> None:
    response = caller.post(path, SEARCH, token=None, authorization=header)

    assert (response.status_code, response.json()["type"]) == (401, "/problems/missing-token")
    assert response["WWW-Authenticate"] == REALM


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("secret", ["unknown", "checker2", "CHECKER", "check er", "ü", "€", "\\ud800"])
def test_with_an_unknown_token(caller: Caller, secret: str) -> None:
    response = caller.post("/v1/check", SEARCH, token=secret)

    assert (response.status_code, response.json()["type"]) == (401, "/problems/invalid-token")
    assert response["WWW-Authenticate"] == f'{REALM}, error="invalid_token"'


@pytest.mark.usefixtures("shop")
def test_with_a_token_of_another_scope(caller: Caller) -> None:
    response = caller.post("/v1/check", SEARCH, token="manager")

    assert (response.status_code, response.json()["type"]) == (403, "/problems/insufficient-scope")
    assert response["WWW-Authenticate"] == f'{REALM}, error="insufficient_scope", scope="check"'


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("header", ["bearer checker", "BEARER checker", "Bearer   checker "])
def test_the_scheme_is_case_insensitive(caller: Caller, header: str) -> None:
    assert caller.post("/v1/check", SEARCH, token=None, authorization=header).status_code == 200


PLAIN_AND_SECURE = [
    ({}, 403),
    ({"x-forwarded-proto": "http"}, 403),
    ({"x-forwarded-proto": ""}, 403),
    ({"x-forwarded-proto": "https"}, 200),
]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(("headers", "status"), PLAIN_AND_SECURE)
def test_with_https_enabled_tokens_are_rejected_over_plain_http(
    caller: Caller, settings: Settings, headers: dict[str, str], status: int
) -> None:
    settings.HTTPS = settings.SECURE_SSL_REDIRECT = True

    for secret in ("checker", "unknown", None):
        response = caller.post("/v1/check", SEARCH, token=secret, **headers)
        if status == 403:
            assert (response.status_code, response.json()["type"]) == (403, "/problems/https-required")
            assert "Location" not in response
        else:
            assert response.status_code == (200 if secret == "checker" else 401)

    assert caller.client.get("/v1/clients", headers=headers).status_code == (403 if status == 403 else 401)


@pytest.mark.usefixtures("shop")
def test_tokens_are_accepted_over_tls_and_with_https_disabled(caller: Caller, settings: Settings) -> None:
    assert caller.post("/v1/check", SEARCH).status_code == 200
    settings.HTTPS = settings.SECURE_SSL_REDIRECT = True
    assert caller.client.get("/metrics").status_code == 401
    secure = caller.client.post(
        "/v1/check", SEARCH, content_type="application/json", headers={"authorization": "Bearer checker"}, secure=True
    )
    assert secure.status_code == 200


@pytest.mark.usefixtures("shop")
def test_an_invalid_token_is_reported_before_an_invalid_body(caller: Caller) -> None:
    assert caller.send("/v1/check", b"{", token="unknown").status_code == 401


def test_a_revocation_takes_effect_with_the_publication(caller: Caller, shop: Store) -> None:
    assert caller.search("ann").status_code == 200
    shop.publish(replace(SHOP, tokens=(token("other", Scope.CHECK),)))

    assert caller.search("ann").status_code == 401
    shop.publish(SHOP)
    assert caller.remaining("ann") == 2


def test_a_removed_scope_takes_effect_with_the_publication(caller: Caller, shop: Store) -> None:
    assert caller.search("ann").status_code == 200
    shop.publish(replace(SHOP, tokens=(token("checker", Scope.METRICS),)))

    assert caller.search("ann").status_code == 403


def test_a_new_token_is_valid_immediately(caller: Caller, shop: Store) -> None:
    assert caller.search("ann").status_code == 200
    shop.publish(replace(SHOP, tokens=(*SHOP.tokens, token("new", Scope.CHECK))))

    assert caller.post("/v1/check", SEARCH, token="new").status_code == 200


def test_the_index_is_built_once_for_each_ruleset() -> None:
    index, digest = TokenIndex(), token("checker").digest
    same = replace(SHOP)

    assert index.find(SHOP, digest) is SHOP.tokens[0]
    built = index._built
    assert index.find(SHOP, "unknown") is None
    assert index._built is built
    assert index.find(same, digest) is same.tokens[0]
    assert index._built[0] is same


class EngineWithoutStore:
    """An engine with a ruleset or without one, which cannot read another."""

    def __init__(self, ruleset: Ruleset | None) -> None:
        self.current: Any = SimpleNamespace(ruleset=ruleset) if ruleset else None

    def refresh(self) -> None:
        raise StoreUnavailable("away")


def test_a_known_token_needs_no_store() -> None:
    engine = cast(Engine, EngineWithoutStore(SHOP))

    admit(engine, BearerToken.parse("Bearer checker"), Scope.CHECK)


@pytest.mark.parametrize(("ruleset", "secret"), [(SHOP, "unknown"), (SHOP, "manager"), (None, "checker")])
def test_a_token_is_not_rejected_while_newer_rules_may_be_in_the_store(ruleset: Ruleset | None, secret: str) -> None:
    engine = cast(Engine, EngineWithoutStore(ruleset))

    with pytest.raises(StoreUnavailable):
        admit(engine, BearerToken.parse(f"Bearer {secret}"), Scope.CHECK)


def test_the_guard_rejects_a_token_that_the_new_rules_do_not_contain() -> None:
    bearer = BearerToken.parse("Bearer checker")

    bearer.require(Scope.CHECK, SHOP)
    with pytest.raises(ProblemResponse, match="unknown or has been revoked"):
        bearer.require(Scope.CHECK, replace(SHOP, tokens=()))
