"""``POST /v1/reservations/settle``: a list of settlements, each independent."""

from typing import Any

import pytest

from ratelimit_enforcer.domain.reservations import ReservationId
from ratelimit_enforcer.engine import Engine
from ratelimit_platform.embedded.redis import RedisServer
from tests.api.reservations.conftest import UNKNOWN_ID, Reserver
from tests.support.servers import Store

SETTLED_COST = "must be a whole number from 0 to 1,000,000,000."


def results(response: Any) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.content
    found: list[dict[str, Any]] = response.json()["results"]
    return found


@pytest.mark.usefixtures("shop")
def test_each_is_settled_independently_and_in_order(caller: Reserver) -> None:
    first, second, third = (caller.reserved(200) for _ in range(3))
    caller.settle(third, 7)
    found = results(
        caller.settle_all(
            {"reservation": first, "cost": 50},
            {"reservation": UNKNOWN_ID, "cost": 1},
            {"reservation": third, "cost": 8},
            {"reservation": second},
        )
    )
    assert found[0] == {"status": 200, "reservation": first, "cost": 50, "refunded": 150, "overdrawn": 0}
    assert found[1] == {
        "status": 404,
        "reservation": UNKNOWN_ID,
        "type": "/problems/unknown-reservation",
        "title": "There is no such reservation.",
        "detail": "There is no such reservation, or it has ended.",
    }
    assert found[2] == {
        "status": 409,
        "reservation": third,
        "type": "/problems/settled-at-another-cost",
        "title": "The cost was settled before, at another amount.",
        "detail": "The reservation was settled at a cost of 7.",
        "cost": 7,
        "refunded": 193,
        "overdrawn": 0,
    }
    assert found[3] == {"status": 200, "reservation": second, "cost": 200, "refunded": 0, "overdrawn": 0}
    assert caller.left() == [1_000 - 50 - 7 - 200]


@pytest.mark.usefixtures("shop")
def test_the_same_reservation_twice(caller: Reserver) -> None:
    each = {"reservation": caller.reserved(200), "cost": 50}
    found = results(caller.settle_all(each, each, each | {"cost": 51}))
    assert [result["status"] for result in found] == [200, 200, 409]
    assert found[0] == found[1]
    assert caller.left() == [950]


@pytest.mark.usefixtures("shop")
def test_a_thousand(caller: Reserver) -> None:
    reservations = [caller.reserved(1, endpoint="no-such-endpoint") for _ in range(5)]
    asked = [{"reservation": reservations[at % 5], "cost": 1} for at in range(1_000)]
    assert [each["status"] for each in results(caller.settle_all(*asked))] == [200] * 1_000


def ascii_start(value: str) -> str:
    """A short name of a test."""
    return ascii(value[:20])


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    "reservation", ["", "x", "é" * 24, "\ud800", "\x00", "A" * 3_000_000, "settle"], ids=ascii_start
)
def test_ids_that_no_reservation_has(caller: Reserver, reservation: str) -> None:
    response = caller.settle_all({"reservation": reservation})
    assert [each["status"] for each in results(response)] == [404]
    assert len(response.content) < 2_000


NOT_A_LIST = {"settlements": ["must be a list of 1 to 1,000 settlements."]}


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ([], NOT_A_LIST),
        ({}, NOT_A_LIST),
        ({"settlements": {}}, NOT_A_LIST),
        ({"settlements": []}, {"settlements": ["must have 1 to 1,000 settlements, not 0."]}),
        (
            {"settlements": [{"reservation": "x"}] * 1_001},
            {"settlements": ["must have 1 to 1,000 settlements, not 1,001."]},
        ),
        ({"settlements": [{"reservation": "ID"}, 5]}, {"settlements[1]": ["must be a JSON object."]}),
        (
            {"settlements": [{"reservation": "ID", "cost": 1}] * 3 + [{"reservation": "ID", "cost": True}]},
            {"settlements[3].cost": [SETTLED_COST]},
        ),
        (
            {"settlements": [{"cost": 10**9 + 1}, {"reservation": 5, "ttl": 9}], "more": 1},
            {
                "more": ["is not a field of a list of settlements."],
                "settlements[0].reservation": ["is required."],
                "settlements[0].cost": [SETTLED_COST],
                "settlements[1].reservation": ["must be a string."],
                "settlements[1].ttl": ["is not a field of a settlement."],
            },
        ),
    ],
)
@pytest.mark.usefixtures("shop")
def test_an_invalid_item_is_reported_before_anything_is_settled(caller: Reserver, body: Any, errors: Any) -> None:
    reservation = caller.reserved(600)
    if isinstance(body, dict) and isinstance(body.get("settlements"), list):
        real = [each | {"reservation": reservation} if _is_named(each) else each for each in body["settlements"]]
        body = body | {"settlements": real}
    response = caller.post("/v1/reservations/settle", body)
    assert (response.status_code, response.json()["errors"]) == (400, errors)
    assert caller.left() == [400]


def _is_named(item: Any) -> bool:
    return isinstance(item, dict) and item.get("reservation") == "ID"


@pytest.mark.usefixtures("shop")
def test_a_list_may_have_4_mib(caller: Reserver) -> None:
    path, body = "/v1/reservations/settle", b'{"settlements": [{"reservation": "x"}]}'
    assert caller.send(path, body.ljust(4 * 1024 * 1024)).status_code == 200
    assert caller.send(path, body.ljust(4 * 1024 * 1024 + 1)).status_code == 413


def test_a_damaged_record_affects_no_other_reservation(caller: Reserver, shop: Store) -> None:
    damaged, intact = caller.reserved(100), caller.reserved(100)
    found = ReservationId.parse(damaged)
    shop.redis.set(shop.keys.reservation(found.shard, found.name), b"nonsense")
    results_ = results(caller.settle_all({"reservation": damaged, "cost": 1}, {"reservation": intact, "cost": 1}))
    assert [each["status"] for each in results_] == [503, 200]
    assert results_[0]["detail"] == "The record of a reservation in the store is damaged."
    assert caller.settle(damaged, 1).status_code == 503


class TestOutage:
    def test_the_rest_is_sent_again_later(self, caller: Reserver, lone: RedisServer) -> None:
        reservations = [caller.reserved(100) for _ in range(3)]
        in_process = caller.reserved(1, client="vip")
        asked = [{"reservation": each, "cost": 10} for each in (*reservations, in_process, "x")]
        lone.kill()
        found = results(caller.settle_all(*asked))
        assert [each["status"] for each in found] == [503, 503, 503, 200, 404]
        assert found[0] == {
            "status": 503,
            "reservation": reservations[0],
            "type": "/problems/store-unavailable",
            "title": "The store is unavailable.",
            "detail": "The store is unavailable. The settlement may be sent again.",
        }

    def test_a_store_that_has_failed_is_not_asked_again(
        self, caller: Reserver, lone: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = [{"reservation": caller.reserved(1), "cost": 1} for _ in range(100)]
        calls = []
        settle = Engine.settle
        monkeypatch.setattr(Engine, "settle", lambda *args: calls.append(args) or settle(*args))
        lone.kill()
        assert [each["status"] for each in results(caller.settle_all(*asked))] == [503] * 100
        assert len(calls) == 1
