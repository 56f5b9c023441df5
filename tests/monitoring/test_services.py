"""Messages to services over real HTTPS: what arrives at each, and that no other address is reached."""

import json
import logging
from typing import Any

import pytest

from limits.domain.services import service_of, service_url_problem
from limits.monitoring import services
from limits.monitoring.checked_http import NotDelivered
from limits.monitoring.services import Event, send
from tests.support.hooks import HookServer, Received
from tests.support.services import PAGERDUTY, SLACK, authority, resolve, service

__all__ = ["authority", "service"]

FLOW = "/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=Zm9v-bar_baz123"
TEAMS = f"https://prod-12.westeurope.logic.azure.com:443/workflows/abc123def456{FLOW}"
POWER_AUTOMATE = (
    f"https://default12ab.d5.environment.api.powerplatform.com/powerautomate/automations/direct/workflows/abc123{FLOW}"
)
OPSGENIE = "opsgenie://aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee?region=eu"
DISCORD = f"https://discord.com/api/webhooks/123456789012345678/{'abcdefghij' * 6}"
TELEGRAM = "tgram://123456789:AAabcdefghijklmnopqrstuvwxyz123456789/-1001234567"
GOOGLE_CHAT = "https://chat.googleapis.com/v1/spaces/AAAAabc/messages?key=AIzaSyDabcdef&token=abcDEF_-%3D"
PUSHOVER = f"pover://{'u' * 30}@{'a' * 30}"
WEBEX = f"https://webexapis.com/v1/webhooks/incoming/Y2lz{'a' * 76}"

TITLE = "search-abuse: <b>acme@everyone was denied 60 times"
TEXT = "Rule: 50 requests denied & more."
PAGE = "https://limits.example/admin/limits/alert/7/change/"
OPENED = Event("warning", key=PAGE, url=PAGE)


def sent(server: HookServer, url: str, event: Event = OPENED, *, answer: bytes = b"{}", status: int = 200) -> Received:
    """Sends a message, and returns the request that arrived."""
    server.answer, server.status = answer, status
    send(url, TITLE, TEXT, event)
    received = server.next()
    assert server.is_empty, "one request for each message"
    return received


def body(received: Received) -> Any:
    return json.loads(received.body)


# -- what arrives


def test_slack(service: HookServer) -> None:
    received = sent(service, SLACK, answer=b"ok")
    assert (received.path, received.headers["host"]) == (SLACK.partition("slack.com")[2], "hooks.slack.com")
    (attachment,) = body(received)["attachments"]
    assert attachment["title"] == "search-abuse: &lt;b&gt;acme@everyone was denied 60 times"
    assert attachment["text"] == f"Rule: 50 requests denied &amp; more.\n\n{PAGE}"


@pytest.mark.parametrize("url", [TEAMS, POWER_AUTOMATE])
def test_teams(service: HookServer, url: str) -> None:
    received = sent(service, url, status=202)
    assert received.path.partition("?")[0] == url.partition(".com")[2].removeprefix(":443").partition("?")[0]
    assert "sig=Zm9v-bar_baz123" in received.path
    (attachment,) = body(received)["attachments"]
    title, text = attachment["content"]["body"]
    assert attachment["content"]["type"] == "AdaptiveCard"
    assert title["text"] == "search-abuse: <\u200bb>acme@\u200beveryone was denied 60 times"
    assert text["text"] == f"{TEXT}\n\n[{PAGE}]({PAGE})"
    assert "entities" not in attachment["content"]["msteams"]


def test_an_incident_of_pagerduty_is_triggered_and_resolved_under_the_same_key(service: HookServer) -> None:
    received = sent(service, PAGERDUTY, status=202)
    assert (received.path, received.headers["host"]) == ("/v2/enqueue", "events.pagerduty.com")
    assert "authorization" not in received.headers
    opened = body(received)
    assert (opened["event_action"], opened["routing_key"]) == ("trigger", PAGERDUTY.removeprefix("pagerduty://"))
    assert (opened["payload"]["summary"], opened["payload"]["severity"]) == (TITLE, "warning")
    assert opened["payload"]["custom_details"] == {"text": TEXT}
    assert opened["links"] == [{"href": PAGE}]
    resolved = body(sent(service, PAGERDUTY, Event("success", key=PAGE, url=PAGE, resolved=True), status=202))
    assert (resolved["event_action"], resolved["dedup_key"]) == ("resolve", opened["dedup_key"])


def test_opsgenie(service: HookServer) -> None:
    received = sent(service, OPSGENIE, answer=b'{"requestId": "1"}', status=202)
    assert (received.path, received.headers["host"]) == ("/v2/alerts", "api.eu.opsgenie.com")
    assert received.headers["authorization"] == "GenieKey aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
    assert (body(received)["message"], body(received)["alias"]) == (TITLE, PAGE)
    assert body(received)["description"] == f"{TEXT}\n\n{PAGE}"


def test_discord(service: HookServer) -> None:
    received = sent(service, DISCORD, status=204, answer=b"")
    assert received.path == DISCORD.removeprefix("https://discord.com")
    assert "acme@\u200beveryone" in body(received)["content"], "nobody is mentioned"
    assert body(received)["content"].endswith(f"{TEXT}\n\n{PAGE}")


def test_telegram(service: HookServer) -> None:
    received = sent(service, TELEGRAM)
    assert received.path == "/bot123456789:AAabcdefghijklmnopqrstuvwxyz123456789/sendMessage"
    assert body(received)["chat_id"] == -1001234567
    assert "search-abuse: &lt;\u200bb&gt;acme" in body(received)["text"]


def test_google_chat_pushover_and_webex(service: HookServer) -> None:
    received = sent(service, GOOGLE_CHAT)
    assert received.path.startswith("/v1/spaces/AAAAabc/messages?")
    assert body(received)["text"].startswith("search-abuse: <\u200bb>acme")
    received = sent(service, PUSHOVER)
    assert received.path == "/1/messages.json"
    assert b"search-abuse" in received.body
    received = sent(service, WEBEX)
    assert received.path.endswith(WEBEX.rpartition("/")[2])
    assert f"[{PAGE}]({PAGE})" in body(received)["markdown"]


# -- what is not reached


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(service: HookServer, status: int) -> None:
    service.location = "https://hooks.slack.com/elsewhere"
    with pytest.raises(NotDelivered, match="redirects are not followed"):
        sent(service, SLACK, status=status)
    assert service.next().path == SLACK.partition("slack.com")[2]
    assert service.is_empty


@pytest.mark.parametrize("answer", [["10.0.0.1"], ["169.254.169.254"], ["1.1.1.1", "127.0.0.2"]])
def test_names_with_internal_addresses_are_not_connected_to(
    service: HookServer, monkeypatch: pytest.MonkeyPatch, answer: list[str]
) -> None:
    resolve(monkeypatch, answer)
    for url in (SLACK, TEAMS, PAGERDUTY):
        with pytest.raises(NotDelivered, match="neither public"):
            send(url, TITLE, TEXT, OPENED)
    assert service.is_empty


def test_a_name_is_resolved_only_once(service: HookServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the connection goes to the address that was checked."""
    asked = resolve(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    sent(service, SLACK, answer=b"ok")
    assert asked == ["hooks.slack.com"]


def test_the_certificate_is_verified(service: HookServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(NotDelivered, match=r"(?i)certificate"):
        send(SLACK, TITLE, TEXT, OPENED)


def test_a_request_to_another_host_fails(service: HookServer) -> None:
    delivery = services._Delivery(service_of(SLACK))  # type: ignore[arg-type]
    with pytest.raises(services.requests.ConnectionError):
        delivery.request("post", "https://discord.com/api/webhooks/1/x", data="{}")
    assert "not for a host of Slack" in delivery.problem
    with pytest.raises(LookupError):
        services._TRANSPORT.post(SLACK)
    assert service.is_empty


@pytest.mark.parametrize(
    "url",
    [
        *("json://example.com/", "xml://10.0.0.1/", "form://localhost", "gotify://10.0.0.1/token", "syslog://"),
        *("mailto://user:pass@example.com", "apprise://10.0.0.1/token", "https://example.com/hook"),
        *(f"{SLACK}?template=/etc/passwd", f"{SLACK}?verify=no", f"{SLACK}?redirect=yes", f"{SLACK}#x", f" {SLACK}"),
        *(f"{TEAMS}&template=file:///etc/passwd", TEAMS.replace(":443", ":8443"), TEAMS.replace(".com", ".com.evil")),
        *(f"{PAGERDUTY}?region=evil.example", f"{PAGERDUTY}?region=eu&region=us", f"{PAGERDUTY}@10.0.0.1"),
        *("https://hooks.slack.com@10.0.0.1/services/T1/B1/x", SLACK.replace("https", "http"), f"{SLACK}\n", ""),
    ],
)
def test_other_urls_are_rejected_without_repeating_them(url: str) -> None:
    problem = service_url_problem(url)
    assert problem
    assert "Slack: https://hooks.slack.com/services/T…/B…/…" in problem
    assert "abcdefghij" not in problem


# -- secrets


def test_the_answer_of_the_service_is_shown_without_the_secret(
    service: HookServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    service.status, service.answer = 403, f"invalid_token {SLACK}".encode()
    with pytest.raises(NotDelivered) as rejected:
        send(SLACK, TITLE, TEXT, OPENED)
    shown = str(rejected.value)
    assert shown == "Slack responded with status 403: invalid_token https://hooks.slack.com/services/…/…/…"
    service.next()
    sent(service, TELEGRAM)
    assert not [line for line in caplog.messages if "abcdefghijkl" in line]
