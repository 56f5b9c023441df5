"""Arbitrary requests: every response conforms to the OpenAPI document, and none has a status of 500 or above."""

import json
import random
from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pytest_django import Settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from limits.models import tokens
from limits.publishing import rules
from limits.publishing.reconciler import go_live
from ratelimit_enforcer.domain.enums import Scope
from tests.api.conftest import Caller
from tests.api.test_clients import begin
from tests.support.histories import history_settings

FIELDS = st.sampled_from(
    [
        *("client", "endpoint", "method", "path", "cost", "checks", "ttl", "at_least", "settlements", "reservation"),
        *("x", "client\ud800"),
    ]
)
SENSIBLE = st.sampled_from(["acme", "search", "orders", "GET", "/api/search", "/api/search/../orders", 1, 5, 10**6])
VALUES = st.one_of(
    SENSIBLE,
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    ),
)
BODIES = st.one_of(
    st.fixed_dictionaries(
        {"client": SENSIBLE, "endpoint": SENSIBLE}, optional={"cost": VALUES, "ttl": VALUES, "at_least": VALUES}
    ),
    st.dictionaries(FIELDS, VALUES, max_size=5),
    st.fixed_dictionaries({"checks": st.lists(st.dictionaries(FIELDS, VALUES, max_size=4), max_size=4)}),
    st.fixed_dictionaries({"settlements": st.lists(st.dictionaries(FIELDS, VALUES, max_size=4), max_size=4)}),
    VALUES,
)
PATHS = st.sampled_from(
    [
        *("/v1/check", "/v1/check?status=200", "/v1/check/batch", "/v1/peek"),
        *("/v1/reservations", "/v1/reservations/settle", "/v1/charge"),
    ]
)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def schemas() -> dict[tuple[str, str, str], Draft202012Validator]:
    """(path, status, media type) → the schema of such a response in the document."""
    document = Caller().client.get("/api/schema/").json()
    return {
        (path, status, media): Draft202012Validator(
            {"components": document["components"], "allOf": [content["schema"]]}
        )
        for path, operations in document["paths"].items()
        for operation in operations.values()
        for status, response in operation["responses"].items()
        for media, content in response.get("content", {}).items()
    }


def hold(caller: Caller, schemas: Any, path: str, body: bytes | str) -> None:
    response = caller.send(path, body)
    assert response.status_code < 500, body
    described = schemas[path.partition("?")[0], str(response.status_code), response["Content-Type"]]
    described.validate(response.json())


@pytest.mark.usefixtures("shop")
@history_settings(6_000)
@given(path=PATHS, body=BODIES)
def test_any_json(caller: Caller, schemas: Any, path: str, body: Any) -> None:
    hold(caller, schemas, path, json.dumps(body))


@pytest.mark.usefixtures("shop")
@history_settings(2_000)
@given(path=PATHS, body=st.binary(max_size=200))
def test_any_bytes(caller: Caller, schemas: Any, path: str, body: bytes) -> None:
    hold(caller, schemas, path, body)


@pytest.mark.usefixtures("shop")
@history_settings(2_000)
@given(path=PATHS, seed=st.integers(0, 2**32), cuts=st.integers(1, 4))
def test_a_valid_body_with_some_bytes_changed(caller: Caller, schemas: Any, path: str, seed: int, cuts: int) -> None:
    chance = random.Random(seed)
    body = bytearray(json.dumps({"client": "acme", "endpoint": "search", "cost": 3}).encode())
    for _ in range(cuts):
        body[chance.randrange(len(body))] = chance.randrange(256)
    hold(caller, schemas, path, bytes(body))


@pytest.fixture
def token(settings: Settings, redis_url: str, transactional_db: None) -> str:
    """A token with every scope, of a platform with a database."""
    begin(settings, redis_url, "any-body")
    issued = tokens.issue(name="any", scopes=list(Scope))
    rules.record("tests")
    assert go_live().live
    return issued


def test_every_operation_conforms_to_the_document(token: str) -> None:
    document = schemathesis.openapi.from_wsgi("/api/schema/", get_wsgi_application())
    operations = [found.ok() for found in document.get_all_operations()]
    assert len(operations) == 70
    for operation in operations:
        hold_operation(operation, token)


def hold_operation(operation: Any, token: str) -> None:
    @history_settings(100)
    @given(case=operation.as_strategy())
    def holds(case: Any) -> None:
        response = case.call(headers={"Authorization": f"Bearer {token}", "X-RateLimit-Token": token})
        case.validate_response(response, checks=CHECKS)

    holds()
