"""Blocks over HTTP: 403 as for a blocked client, on every request that decides or reports."""

from dataclasses import replace
from typing import Any

import pytest

from ratelimit_enforcer.domain.blocks import Block
from tests.api.conftest import SHOP, Caller
from tests.support.servers import Store

HERE, ELSEWHERE = "203.0.113.7", "198.51.100.7"


@pytest.fixture(autouse=True)
def rules(shop: Store) -> None:
    blocks = (Block(network="203.0.113.0/24", reason="scraping"), Block(prefix="bot-", reason="abuse"))
    shop.publish(replace(SHOP, blocks=blocks))


def body(client: str = "ann", ip: str = HERE) -> dict[str, Any]:
    return {"client": client, "endpoint": "search", "attributes": {"ip": ip}}


@pytest.mark.parametrize("blocked", [body(), body(ip="::ffff:203.0.113.9"), body("bot-7", ELSEWHERE)])
def test_a_blocked_request_is_answered_as_one_of_a_blocked_client(caller: Caller, blocked: dict[str, Any]) -> None:
    answer = caller.post("/v1/check", blocked)
    found = answer.json()
    assert (answer.status_code, found["type"], found["reason"]) == (403, "/problems/client-blocked", "blocked")
    assert (found["allowed"], found["retry_after"], found["limits"]) == (False, None, [])
    assert "Retry-After" not in answer.headers
    assert "RateLimit" not in answer.headers


def test_others_are_admitted(caller: Caller) -> None:
    assert caller.post("/v1/check", body(ip=ELSEWHERE)).status_code == 200
    assert caller.post("/v1/check", {"client": "ann", "endpoint": "search"}).status_code == 200


def test_peek_and_batch_know_blocks(caller: Caller) -> None:
    assert caller.post("/v1/peek", body()).json()["reason"] == "blocked"
    results = caller.post("/v1/check/batch", {"checks": [body(), body(ip=ELSEWHERE)]}).json()["results"]
    assert [result["status"] for result in results] == [403, 200]


def test_the_state_of_a_client_knows_blocks(caller: Caller) -> None:
    queries = ("client=ann", "client=bot-7", f"client=ann&attributes[ip]={HERE}")
    answers = [
        caller.client.get(f"/v1/usage?{query}", headers={"authorization": "Bearer checker"}) for query in queries
    ]
    assert [answer.json()["status"] for answer in answers] == ["active", "blocked", "blocked"]
