"""The whole config over HTTP, with a real database and a real store."""

import json
import re
from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

import pytest
import yaml
from django.db import connections
from pytest_django import Settings

from api.management import config
from api.requests import MAX_CONFIG_BYTES
from limits.configfile import versions
from limits.configfile.export import export
from limits.models import AlertRule, ChangeSet, Client, Override, Policy, Publication
from limits.models.channel_secrets import reference_to
from ratelimit_platform.embedded.redis import RedisServer
from tests.api.test_changes import DIFFERENCE, RAISED, Deployment, begin, deployment, with_approval
from tests.models import rows

__all__ = ["deployment", "with_approval"]
pytestmark = pytest.mark.django_db(transaction=True)

YAML = "application/yaml"
HOOK = "https://hooks.example.com/services/hush"


def read(deployment: Deployment, query: str = "", **headers: str) -> Any:
    return deployment.ask("GET", f"/v1/config{query}", **headers)


def body_of(response: Any) -> bytes:
    assert response.status_code == 200, response.content
    found: bytes = response.getvalue()
    return found


def write(deployment: Deployment, method: str, body: Any, query: str = "", **headers: str) -> Any:
    return deployment.ask(method, f"/v1/config{query}", body, **headers)


def test_reading_and_sending_back_changes_nothing_in_both_formats(deployment: Deployment) -> None:
    rows.override_limit(rows.override(rows.client("acme"), Policy.objects.get(slug="all")))
    rows.alert_rule("abuse")
    found = {media: read(deployment, accept=media) for media in ("application/json", YAML)}
    for media, response in found.items():
        text = body_of(response)
        assert response["Content-Type"] == media
        written = deployment.caller.client.put(
            "/v1/config",
            text,
            content_type=media,
            headers={"authorization": f"Bearer {deployment.rules}", "if-match": response["ETag"]},
        )
        assert (written.status_code, written.json()) == (200, {"live": True, "version": 1, "differences": []})
        again = read(deployment, accept=media, if_none_match=response["ETag"])
        assert (again.status_code, again["ETag"], again.content) == (304, response["ETag"], b"")
    tags = [response["ETag"] for response in found.values()]
    assert tags[0] != tags[1]
    assert all(re.fullmatch(r'"[!#-~]+"', tag) for tag in tags)


def test_both_formats_are_the_export_without_clients(deployment: Deployment) -> None:
    rows.client("acme", name="Bäckerei 😀")
    wanted = yaml.safe_load(export())
    assert yaml.safe_load(body_of(read(deployment, "?clients=1", accept=YAML))) == wanted
    assert json.loads(body_of(read(deployment, "?clients=1"))) == wanted
    assert wanted.pop("clients") == [{"key": "acme", "name": "Bäckerei 😀"}]
    assert yaml.safe_load(body_of(read(deployment, accept="text/yaml"))) == wanted
    plain = read(deployment)
    assert json.loads(body_of(plain)) == wanted
    Client.objects.update(name="Other")
    assert read(deployment)["ETag"] == plain["ETag"]


@pytest.mark.parametrize("media", ["application/json", YAML])
def test_a_large_config_is_written_in_parts_and_streamed(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, media: str
) -> None:
    monkeypatch.setattr(config, "MAX_IN_MEMORY", 100)
    monkeypatch.setattr(versions, "_BATCH", 2)
    for number in range(5):
        rows.client(f"client-{number}")
    response = read(deployment, "?clients=1", accept=media)
    assert (response.streaming, response["Content-Type"]) == (True, media)
    text = body_of(response)
    assert int(response["Content-Length"]) == len(text)
    assert yaml.safe_load(text) == yaml.safe_load(export())


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "application/json"),
        ("application/yaml;q=0.5, application/json;q=0.4", YAML),
        ("application/*;q=0.1, application/json;q=0", YAML),
        ("text/yaml", YAML),
        ("text/html", ""),
    ],
)
def test_the_format_is_negotiated(deployment: Deployment, accept: str, media: str) -> None:
    response = read(deployment, accept=accept)
    assert (response.status_code, response["Content-Type"]) == (
        (200, media) if media else (406, "application/problem+json")
    )


def test_put_replaces_the_sections_present_and_keeps_clients(deployment: Deployment) -> None:
    rows.client("acme")
    rows.policy("old", quota=1)
    rows.alert_rule("abuse")
    body = {"policies": RAISED["policies"], "clients": [{"key": "new"}]}
    written = write(deployment, "PUT", body, "?reason=Tidy")
    assert (written.status_code, written.json()) == (
        200,
        {"live": True, "version": 2, "differences": ["Policy old removed.", DIFFERENCE, "Client new changed."]},
    )
    assert deployment.quota() == (20, None)
    assert sorted(Client.objects.values_list("key", flat=True)) == ["acme", "new"]
    assert AlertRule.objects.filter(name="abuse").exists()
    publication = Publication.objects.get(sequence=2)
    assert (publication.author, publication.reason) == ("token deploy", "Tidy")


def test_patch_merges(deployment: Deployment) -> None:
    rows.policy("other", quota=1)
    written = write(deployment, "PATCH", RAISED)
    assert (written.status_code, written.json()["differences"]) == (200, [DIFFERENCE])
    assert sorted(Policy.objects.values_list("slug", flat=True)) == ["all", "other"]


def test_a_dry_run_changes_nothing(deployment: Deployment) -> None:
    for method, extra in (("PUT", ["Plan free removed."]), ("PATCH", [])):
        body = RAISED | ({"plans": [{"slug": "gold", "name": "Gold", "default": True}]} if extra else {})
        tried = write(deployment, method, body, "?dry_run=1").json()
        assert (tried["dry_run"], tried["version"]) == (True, 1)
        assert {DIFFERENCE, *extra} <= set(tried["differences"])
    assert (Publication.objects.count(), deployment.quota()) == (1, (10, None))


def test_a_failed_precondition_says_what_was_published_since(deployment: Deployment) -> None:
    before = read(deployment)["ETag"]
    deployment.act(deployment.prepare().json()["id"], "publish")
    failed = write(deployment, "PUT", {"policies": []}, if_match=before)
    assert (failed.status_code, failed["Content-Type"]) == (412, "application/problem+json")
    found = failed.json()
    assert (found["type"], found["version"], found["since"]) == ("/problems/precondition-failed", 2, 1)
    (since,) = found["publications"]
    assert (since["version"], since["author"], since["differences"]) == (2, "token deploy", [DIFFERENCE])
    assert deployment.quota() == (20, None)
    assert write(deployment, "PATCH", RAISED, if_match=f'"other", {read(deployment)["ETag"]}').status_code == 200
    assert write(deployment, "PATCH", RAISED, if_match="*").status_code == 200
    assert write(deployment, "PATCH", RAISED, if_match=f"W/{read(deployment)['ETag']}").status_code == 412
    assert write(deployment, "PATCH", RAISED, if_match='"other"').json()["since"] is None
    assert list(write(deployment, "PATCH", RAISED, if_match="other").json()["errors"]) == ["If-Match"]


def test_a_precondition_includes_what_is_not_published(deployment: Deployment) -> None:
    acme = rows.client("acme")
    before, with_clients = read(deployment)["ETag"], read(deployment, "?clients=1")["ETag"]
    Client.objects.update(name="Other")
    assert write(deployment, "PATCH", RAISED, "?dry_run=1", if_match=with_clients).status_code == 412
    assert write(deployment, "PATCH", RAISED, "?dry_run=1", if_match=before).status_code == 200
    rows.override(acme, Policy.objects.get(slug="all"))
    failed = write(deployment, "PUT", {"overrides": []}, if_match=before)
    assert (failed.status_code, failed.json()["since"], failed.json()["publications"]) == (412, 1, [])
    assert failed.json()["detail"].startswith("The rules are the same")
    assert Override.objects.exists()


def test_of_simultaneous_writes_with_one_precondition_exactly_one_wins(deployment: Deployment) -> None:
    tag, together, found = read(deployment)["ETag"], Barrier(4), []

    def ask(quota: int) -> None:
        together.wait()
        body = {"policies": [{"slug": "all", "limits": [{"quota": quota, "window": 60}]}]}
        found.append((write(deployment, "PUT", body, if_match=tag).status_code, quota))
        connections.close_all()

    threads = [Thread(target=ask, args=(quota,)) for quota in (31, 32, 33, 34)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(status for status, _ in found) == [200, 412, 412, 412]
    assert deployment.quota()[0] == dict(found)[200]
    assert Publication.objects.count() == 2


def test_what_needs_approval_becomes_one_change_set(with_approval: Deployment) -> None:
    for _ in range(2):
        waits = write(with_approval, "PUT", RAISED)
        found = waits.json()
        assert (waits.status_code, found["live"], found["version"]) == (202, False, 1)
        assert (found["differences"], found["change"]["state"]) == ([DIFFERENCE], "awaiting")
        assert found["detail"].startswith("Another person has to approve")
    assert found["change"]["id"] == ChangeSet.objects.get().pk
    assert with_approval.quota() == (10, None)
    assert write(with_approval, "PUT", RAISED, "?dry_run=1").status_code == 200
    alone = write(with_approval, "PUT", RAISED, token=with_approval.publisher)
    assert (alone.status_code, with_approval.quota()) == (200, (20, None))


def test_without_redis_a_write_goes_live_later(settings: Settings, redis_server: Callable[..., RedisServer]) -> None:
    server = redis_server()
    deployment = begin(settings, server.url, "lone")
    assert read(deployment).status_code == 200
    server.kill()
    later = write(deployment, "PUT", RAISED)
    assert (later.status_code, later.json()) == (
        202,
        {
            "live": False,
            "version": 2,
            "differences": [DIFFERENCE],
            "detail": "Redis is unavailable; the change will go live automatically.",
        },
    )


def test_secrets_are_write_only(deployment: Deployment, settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"WEBHOOK_SECRET": "whsec_" + "QUJD" * 8}
    rule = {"name": "a", "metric": "throttled", "threshold": 1, "webhooks": [HOOK]}
    added = write(deployment, "PATCH", {"alert_rules": [rule]})
    assert added.status_code == 200, added.json()
    text = body_of(read(deployment))
    assert b"hush" not in text + added.content
    assert json.loads(text)["alert_rules"][0]["webhooks"] == [reference_to(HOOK)]
    assert write(deployment, "PUT", text).json()["differences"] == []
    assert AlertRule.objects.get().webhooks == [HOOK]


@pytest.mark.parametrize(
    ("content_type", "body", "status", "errors"),
    [
        ("application/json", b"policies: []", 400, None),
        ("application/json", b'{"policies": [], "policies": []}', 400, None),
        (YAML, b"policies: []\npolicies: []", 400, {"body": ["line 2, column 1: the key “policies” is a duplicate"]}),
        (YAML, b"\xff", 400, {"body": ["is not UTF-8 at byte 0."]}),
        (YAML, b"[]", 400, {"body": ["must be a mapping of fields."]}),
        (
            YAML,
            b"policies: [{slug: a, limits: [{quota: -1, window: 60}]}]",
            400,
            {"policies[0].limits[0].quota": ["must be between 0 and 1,000,000,000."]},
        ),
        ("application/json", b'{"policies": [{"slug": "a\\ud800", "limits": []}]}', 400, None),
        (
            "application/json",
            b'{"policies": [{"slug": "a", "plan": "gone", "limits": [{"quota": 1, "window": 60}]}]}',
            400,
            {"policies[0].plan": ["there is no plan “gone”."]},
        ),
        ("text/plain", b"{}", 415, None),
        (YAML, b"#" * (MAX_CONFIG_BYTES + 1), 413, None),
    ],
    ids=range(10),
)
def test_invalid_bodies(
    deployment: Deployment, content_type: str, body: bytes, status: int, errors: dict[str, list[str]] | None
) -> None:
    headers = {"authorization": f"Bearer {deployment.rules}"}
    response = deployment.caller.client.put("/v1/config", body, content_type=content_type, headers=headers)
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    assert errors is None or response.json()["errors"] == errors
    assert Publication.objects.count() == 1


def test_a_bomb_of_aliases_is_rejected(deployment: Deployment) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "\n".join(
        f"{chr(98 + at)}: &{chr(98 + at)} [{','.join([f'*{chr(97 + at)}'] * 10)}]" for at in range(8)
    )
    headers = {"authorization": f"Bearer {deployment.rules}"}
    response = deployment.caller.client.put("/v1/config", bomb.encode(), content_type=YAML, headers=headers)
    assert "expand to more than 100,000 values" in response.json()["errors"]["body"][0]


def test_what_is_still_used_is_not_removed(deployment: Deployment) -> None:
    rows.client("acme", plan=rows.plan("pro"))
    response = write(deployment, "PUT", {"plans": [{"slug": "free", "default": True}]})
    assert (response.status_code, list(response.json()["errors"])) == (400, ["plans"])


@pytest.mark.parametrize("query", ["dry_run=2", "dry_run=1&dry_run=1", "clients=1", "reason=%00", "x=1"])
def test_invalid_parameters_of_a_write(deployment: Deployment, query: str) -> None:
    response = write(deployment, "PUT", RAISED, f"?{query}")
    assert (response.status_code, list(response.json()["errors"])) == (400, [query.partition("=")[0]])


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
def test_a_token_without_the_scope(deployment: Deployment, method: str) -> None:
    response = deployment.ask(method, "/v1/config", {}, token=deployment.check)
    assert (response.status_code, response.json()["type"]) == (403, "/problems/insufficient-scope")
