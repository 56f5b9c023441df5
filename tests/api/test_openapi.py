"""The OpenAPI document: valid, complete, and in accordance with the responses."""

import json
import re
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator
from pytest_django import Settings

from api import views
from api.problems import PROBLEM_TYPES
from ratelimit_enforcer.per_process import reset_once
from tests.api.conftest import Caller

Document = dict[str, Any]


@pytest.fixture
def document(caller: Caller) -> Document:
    loaded: Document = caller.client.get("/api/schema/").json()
    return loaded


def operations(document: Document) -> dict[str, Document]:
    """Operation id → operation."""
    return {item["operationId"]: item for path in document["paths"].values() for item in path.values()}


def validator(document: Document, schema: Document) -> Draft202012Validator:
    return Draft202012Validator({"components": document["components"], "allOf": [schema]})


def test_it_is_openapi_3_1(document: Document) -> None:
    validate_schema(document)
    assert document["openapi"].startswith("3.1")
    assert set(operations(document)) == {
        *("check", "checkBatch", "peek", "usage", "health", "readiness", "metrics"),
        *("forwardAuth", "forwardAuthEnvoy", "usageReport"),
        *("reserve", "settle", "deleteReservation", "settleAll", "charge"),
        *("listChangeSets", "createChangeSet", "readChangeSet"),
        *("readConfig", "replaceConfig", "mergeConfig"),
        *("listPublications", "readPublication", "restorePublication", "revertPublication"),
        *("simulateChangeSet", "scheduleChangeSet", "publishChangeSet", "withdrawChangeSet"),
        *("listGrants", "createGrant", "readGrant", "putGrant", "endGrant"),
        *("listAlerts", "readAlert", "acknowledgeAlert", "silenceAlert"),
        *("listPlans", "readPlan", "putPlan", "deletePlan"),
        *("listEndpoints", "readEndpoint", "putEndpoint", "deleteEndpoint"),
        *("listPolicies", "readPolicy", "putPolicy", "deletePolicy"),
        *("listAlertRules", "readAlertRule", "putAlertRule", "deleteAlertRule"),
        *("listOverrides", "createOverride", "readOverride", "putOverride", "deleteOverride"),
        *("listBlocks", "createBlock", "readBlock", "putBlock", "deleteBlock"),
        *("listClients", "readClient", "putClient", "changeClient", "removeClient", "resetClient"),
    }


def test_the_document_as_yaml_by_content_negotiation(caller: Caller) -> None:
    response = caller.client.get("/api/schema/", headers={"accept": "application/yaml"})

    assert response["Content-Type"].startswith("application/yaml")
    assert caller.client.get("/api/schema/", headers={"accept": "image/png"}).status_code == 406


def test_the_document_is_generated_once_per_format(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    get_schema = SchemaGenerator.get_schema
    monkeypatch.setattr(SchemaGenerator, "get_schema", lambda self, **kw: made.append(1) or get_schema(self, **kw))
    reset_once(views._document)

    json_ones = {caller.client.get("/api/schema/").content for _ in range(3)}
    yaml_ones = {caller.client.get("/api/schema/", headers={"accept": "application/yaml"}).content for _ in range(3)}

    assert (len(json_ones), len(yaml_ones), len(made)) == (1, 1, 2)


@pytest.mark.parametrize(
    ("operation", "statuses"),
    [
        ("check", [200, 400, 401, 403, 405, 406, 408, 411, 413, 415, 429, 500, 503]),
        ("peek", [200, 400, 401, 403, 405, 406, 408, 411, 413, 415, 500, 503]),
        ("checkBatch", [200, 400, 401, 403, 405, 406, 408, 411, 413, 415, 500, 503]),
        ("reserve", [200, 400, 401, 403, 405, 406, 408, 411, 413, 415, 429, 500, 503]),
        ("settle", [200, 400, 401, 403, 404, 405, 406, 408, 409, 411, 413, 415, 500, 503]),
        ("deleteReservation", [204, 400, 401, 403, 404, 405, 406, 409, 500, 503]),
        ("settleAll", [200, 400, 401, 403, 405, 406, 408, 411, 413, 415, 500, 503]),
        ("charge", [200, 400, 401, 403, 405, 406, 408, 409, 411, 413, 415, 500, 503]),
        ("usage", [200, 400, 401, 403, 405, 406, 500, 503]),
        ("listClients", [200, 400, 401, 403, 405, 406, 500, 503]),
        ("readClient", [200, 400, 401, 403, 404, 405, 406, 500, 503]),
        ("putClient", [200, 201, 202, 400, 401, 403, 404, 405, 406, 408, 411, 413, 415, 500, 503]),
        ("changeClient", [200, 202, 400, 401, 403, 404, 405, 406, 408, 411, 413, 415, 500, 503]),
        ("removeClient", [202, 204, 400, 401, 403, 404, 405, 406, 409, 500, 503]),
        ("resetClient", [200, 400, 401, 403, 404, 405, 406, 408, 411, 413, 415, 500, 503]),
        ("listChangeSets", [200, 400, 401, 403, 405, 406, 500, 503]),
        ("createChangeSet", [201, 400, 401, 403, 405, 406, 408, 409, 411, 413, 415, 500, 503]),
        ("readChangeSet", [200, 400, 401, 403, 404, 405, 406, 500, 503]),
        ("simulateChangeSet", [202, 400, 401, 403, 404, 405, 406, 408, 409, 411, 413, 415, 500, 503]),
        ("scheduleChangeSet", [200, 202, 400, 401, 403, 404, 405, 406, 408, 409, 411, 413, 415, 500, 503]),
        ("publishChangeSet", [200, 202, 400, 401, 403, 404, 405, 406, 408, 409, 411, 413, 415, 500, 503]),
        ("withdrawChangeSet", [200, 202, 400, 401, 403, 404, 405, 406, 408, 409, 411, 413, 415, 500, 503]),
        ("listGrants", [200, 400, 401, 403, 405, 406, 500, 503]),
        ("createGrant", [201, 202, 400, 401, 403, 405, 406, 408, 409, 411, 413, 415, 500, 503]),
        ("readGrant", [200, 400, 401, 403, 404, 405, 406, 500, 503]),
        ("putGrant", [200, 202, 400, 401, 403, 404, 405, 406, 408, 411, 413, 415, 500, 503]),
        ("endGrant", [200, 202, 204, 400, 401, 403, 404, 405, 406, 500, 503]),
        ("listAlerts", [200, 400, 401, 403, 405, 406, 500, 503]),
        ("silenceAlert", [200, 400, 401, 403, 404, 405, 406, 408, 411, 413, 415, 500, 503]),
        ("listPolicies", [200, 400, 401, 403, 405, 406, 500, 503]),
        ("readPolicy", [200, 304, 400, 401, 403, 404, 405, 406, 500, 503]),
        ("putPolicy", [200, 201, 202, 400, 401, 403, 404, 405, 406, 408, 411, 412, 413, 415, 500, 503]),
        ("deletePolicy", [200, 202, 400, 401, 403, 404, 405, 406, 409, 412, 500, 503]),
        ("createBlock", [200, 201, 202, 400, 401, 403, 404, 405, 406, 408, 409, 411, 413, 415, 500, 503]),
        ("putBlock", [200, 202, 400, 401, 403, 404, 405, 406, 408, 409, 411, 412, 413, 415, 500, 503]),
        ("readConfig", [200, 304, 400, 401, 403, 405, 406, 500, 503]),
        ("replaceConfig", [200, 202, 400, 401, 403, 405, 406, 408, 409, 411, 412, 413, 415, 500, 503]),
        ("mergeConfig", [200, 202, 400, 401, 403, 405, 406, 408, 409, 411, 412, 413, 415, 500, 503]),
        ("listPublications", [200, 400, 401, 403, 405, 406, 500, 503]),
        ("readPublication", [200, 400, 401, 403, 404, 405, 406, 500, 503]),
        ("restorePublication", [200, 202, 400, 401, 403, 404, 405, 406, 408, 409, 411, 413, 415, 500, 503]),
        ("revertPublication", [200, 202, 400, 401, 403, 404, 405, 406, 408, 409, 411, 413, 415, 500, 503]),
        ("forwardAuth", [200, 400, 401, 403, 404, 429, 500, 503]),
        ("forwardAuthEnvoy", [200, 400, 401, 403, 429, 500, 503]),
        ("health", [200, 405, 500]),
        ("readiness", [200, 405, 500, 503]),
        ("usageReport", [200, 400, 401, 403, 405, 406, 500, 503]),
        ("metrics", [200, 400, 401, 403, 405, 500, 503]),
    ],
)
def test_every_status_is_described(document: Document, operation: str, statuses: list[int]) -> None:
    assert list(operations(document)[operation]["responses"]) == [str(status) for status in statuses]


def test_every_operation_has_its_own_description(document: Document) -> None:
    """If a description is missing, drf-spectacular uses the docstring of the view."""
    descriptions = [operation["description"] for operation in operations(document).values()]
    assert len(descriptions) == len(set(descriptions))
    assert not [description for description in descriptions if "``" in description]


def test_every_problem_type_has_an_example(document: Document) -> None:
    shown = set(re.findall(r'"type": "([^"]*/[^"]+)"', json.dumps(document["paths"])))

    assert shown == {kind.uri for kind in PROBLEM_TYPES}


def test_every_example_conforms_to_its_schema(document: Document) -> None:
    for operation in operations(document).values():
        for response in (operation.get("requestBody"), *operation["responses"].values()):
            for media in (response or {}).get("content", {}).values():
                for example in media["examples"].values():
                    validator(document, media["schema"]).validate(example["value"])


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    "body",
    [
        {"client": "ann", "endpoint": "search"},
        {"client": "ann", "endpoint": "search", "cost": 4},
        {"client": "ann", "method": "POST", "path": "/api/orders", "cost": 20},
        {"client": "mallory", "endpoint": "search"},
        {"client": "vip", "endpoint": "no-such-endpoint"},
        {"client": "ann", "endpoint": "closed"},
        {"client": "ann"},
        {"client": "", "endpoint": "search"},
        {"client": "ann", "endpoint": "search", "path": "/"},
        {"client": "ann", "endpoint": "search", "cost": 0},
        {"client": "ann", "endpoint": "search", "more": 1},
        {"client": "ann\n", "endpoint": "search"},
    ],
)
def test_requests_and_responses_conform_to_the_document(caller: Caller, document: Document, body: Document) -> None:
    check = operations(document)["check"]
    described = check["requestBody"]["content"]["application/json"]["schema"]

    response = caller.post("/v1/check", body)

    assert validator(document, described).is_valid(body) == (response.status_code != 400)
    content = check["responses"][str(response.status_code)]["content"][response["Content-Type"]]
    validator(document, content["schema"]).validate(response.json())


def test_the_page_loads_nothing_from_another_host(caller: Caller, settings: Settings) -> None:
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = settings.STORAGES | {"staticfiles": plain}

    page = caller.client.get("/api/docs/").content.decode()

    assert re.findall(r'(?:src|href)="([^"]+)"', page)
    assert all(address.startswith("/") for address in re.findall(r'(?:src|href|url)[=:] ?"([^"]+)"', page))
    assert '"validatorUrl": null' in caller.client.get("/api/docs/?script=").content.decode()
