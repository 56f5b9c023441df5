"""``/v1/reservations``: cost is reserved, and settled, refunded or kept later."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django import Settings

from ratelimit_enforcer.domain.enums import ClientStatus, Scope
from ratelimit_enforcer.domain.reservations import MAX_OPEN, ReservationId
from ratelimit_platform.embedded.redis import RedisServer
from tests.api.conftest import CLIENTS, token
from tests.api.reservations.conftest import RULES, UNKNOWN_ID, WRONG_IDS, Reserver, with_key
from tests.api.test_check import CHECK_FIELDS
from tests.support.servers import Store
from tests.support.waiting import wait_until

COST = "must be a whole number from 1 to 1,000,000."
SETTLED_COST = "must be a whole number from 0 to 1,000,000,000."


def refused(response: Any) -> tuple[int, dict[str, list[str]]]:
    return response.status_code, response.json()["errors"]


@pytest.mark.usefixtures("shop")
class TestReserving:
    def test_an_admitted_reservation_has_an_id_and_an_end(self, caller: Reserver) -> None:
        response = caller.reserve(600, ttl=90)
        body = response.json()
        assert (response.status_code, list(body)) == (200, CHECK_FIELDS)
        assert (body["allowed"], body["cost"], body["remaining"]) == (True, 600, 400)
        assert re.fullmatch(r"[A-Za-z0-9_-]{24}", body["reservation"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", body["expires_at"])
        left = datetime.fromisoformat(body["expires_at"]) - datetime.now(UTC)
        assert timedelta(seconds=60) < left < timedelta(seconds=120)
        assert response["RateLimit"] == '"model:3600s";r=400;t=3600'

    def test_without_a_ttl_it_ends_after_a_minute(self, caller: Reserver) -> None:
        left = datetime.fromisoformat(caller.reserve().json()["expires_at"]) - datetime.now(UTC)
        assert timedelta(seconds=30) < left < timedelta(seconds=90)

    def test_without_a_cost_the_endpoint_determines_it(self, caller: Reserver) -> None:
        assert caller.reserve(None).json()["cost"] == 5
        assert caller.left() == [995]

    def test_a_denied_reservation_is_a_denied_check(self, caller: Reserver) -> None:
        caller.reserve(600)
        response = caller.reserve(600)
        body = response.json()
        assert response.status_code == 429
        assert list(body) == ["type", "title", "status", "detail", *CHECK_FIELDS, "violated-policies"]
        assert (body["reservation"], body["expires_at"], body["cost"]) == (None, None, 600)
        assert int(response["Retry-After"]) > 3_000
        assert caller.left() == [400]

    def test_with_status_200_a_denial_is_a_200(self, caller: Reserver) -> None:
        response = caller.post("/v1/reservations?status=200", {"client": "ann", "endpoint": "model", "cost": 1_001})
        assert (response.status_code, list(response.json())) == (200, CHECK_FIELDS)
        assert response.json()["reason"] == "cost_exceeds_quota"

    def test_at_least(self, caller: Reserver) -> None:
        caller.reserve(950)
        body = caller.reserve(4_000, at_least=10).json()
        assert (body["allowed"], body["cost"], body["remaining"]) == (True, 50, 0)
        denied = caller.reserve(4_000, at_least=10).json()
        assert (denied["reason"], denied["cost"], denied["reservation"]) == ("limit", 10, None)
        never = caller.reserve(4_000, at_least=1_001)
        assert (never.json()["reason"], never.json()["cost"]) == ("cost_exceeds_quota", 1_001)
        assert "Retry-After" not in never

    def test_at_least_may_equal_the_cost(self, caller: Reserver) -> None:
        assert caller.reserve(20, at_least=20).json()["cost"] == 20
        assert caller.reserve(None, at_least=5).json()["cost"] == 5
        assert caller.reserve(None, endpoint="no-such-endpoint", at_least=1).json()["cost"] == 1

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"cost": 20, "at_least": 21}, "must be at most the cost, 20."),
            ({"at_least": 6}, "must be at most the cost, which is 5 by default."),
            ({"endpoint": "no-such-endpoint", "at_least": 2}, "must be at most the cost, which is 1 by default."),
            ({"at_least": 0}, COST),
            ({"at_least": True}, COST),
            ({"at_least": "1"}, COST),
            ({"at_least": None}, COST),
            ({"at_least": 10**6 + 1}, COST),
        ],
    )
    def test_at_least_is_at_most_the_cost(self, caller: Reserver, fields: Any, message: str) -> None:
        assert refused(caller.reserve(**{"cost": None} | fields)) == (400, {"at_least": [message]})
        assert caller.left() == [1_000]

    @pytest.mark.parametrize("ttl", [0, -1, 3_601, 1.5, 60.0, True, "60", None, [60], 10**30])
    def test_a_ttl_is_a_whole_number_of_seconds(self, caller: Reserver, ttl: Any) -> None:
        assert refused(caller.reserve(1, ttl=ttl)) == (400, {"ttl": ["must be a whole number from 1 to 3,600."]})

    @pytest.mark.parametrize("ttl", [1, 3_600])
    def test_the_shortest_and_the_longest_ttl(self, caller: Reserver, ttl: int) -> None:
        assert caller.reserve(1, ttl=ttl).status_code == 200

    @pytest.mark.parametrize("cost", [0, 10**6 + 1, True, "5", None, 5.0])
    def test_invalid_costs(self, caller: Reserver, cost: Any) -> None:
        assert refused(caller.post("/v1/reservations", {"client": "ann", "endpoint": "model", "cost": cost})) == (
            400,
            {"cost": [COST]},
        )

    def test_every_invalid_field_is_reported_at_once(self, caller: Reserver) -> None:
        body = {"client": "", "ttl": 0, "at_least": 9, "cost": 3, "more": 1}
        assert refused(caller.post("/v1/reservations", body)) == (
            400,
            {
                "client": ["must have 1 to 256 characters."],
                "ttl": ["must be a whole number from 1 to 3,600."],
                "more": ["is not a field of a reservation."],
                "endpoint": ["is required, or “method” and “path” instead."],
                "at_least": ["must be at most the cost, 3."],
            },
        )

    @pytest.mark.parametrize(
        ("body", "name"),
        [
            (b"", "malformed-body"),
            (b"{", "malformed-body"),
            (b'{"client": "ann", "endpoint": "model", "ttl": 5, "ttl": 9}', "malformed-body"),
            (b'{"client": "ann", "endpoint": "model", "ttl": NaN}', "malformed-body"),
            (b"[]", "invalid-request"),
        ],
    )
    def test_invalid_bodies(self, caller: Reserver, body: bytes, name: str) -> None:
        response = caller.send("/v1/reservations", body)
        assert (response.status_code, response.json()["type"]) == (400, f"/problems/{name}")

    def test_a_check_has_neither_field(self, caller: Reserver) -> None:
        body = {"client": "ann", "endpoint": "model", "ttl": 5, "at_least": 1}
        errors = {name: ["is not a field of a check."] for name in ("ttl", "at_least")}
        assert refused(caller.post("/v1/check", body)) == (400, errors)

    def test_exempt_and_blocked_clients(self, caller: Reserver) -> None:
        exempt, blocked = caller.reserve(9, client="vip"), caller.reserve(9, client="mallory")
        assert (exempt.status_code, exempt.json()["reason"]) == (200, "exempt")
        settled = caller.settle(exempt.json()["reservation"], 4)
        assert (settled.status_code, settled.json()["cost"], settled.json()["refunded"]) == (200, 4, 0)
        assert (blocked.status_code, blocked.json()["reservation"]) == (403, None)

    def test_the_bound_on_unsettled_reservations(self, caller: Reserver, shop: Store) -> None:
        first = caller.reserved(1)
        key = shop.keys.open_reservations_of(ReservationId.parse(first).shard, "ann")
        ((_, until),) = shop.redis.zrange(key, 0, -1, withscores=True)
        shop.redis.zadd(key, {f"other {number}": until for number in range(MAX_OPEN - 1)})
        denied = caller.reserve(1)
        body = denied.json()
        assert (denied.status_code, body["reason"], body["reservation"]) == (429, "too_many_reservations", None)
        assert (body["type"].endswith("#quota-exceeded"), body["violated-policies"]) == (True, [])
        assert body["detail"] == "The client has 10,000 unsettled reservations. Settle or delete some of them."
        assert "Retry-After" not in denied
        caller.settle(first)
        assert caller.reserve(1).status_code == 200


@pytest.mark.usefixtures("shop")
class TestSettling:
    def test_less_is_refunded(self, caller: Reserver) -> None:
        reservation = caller.reserved(600)
        response = caller.settle(reservation, 20)
        assert (response.status_code, response["Content-Type"]) == (200, "application/json")
        assert response.json() == {"reservation": reservation, "cost": 20, "refunded": 580, "overdrawn": 0}
        assert caller.left() == [980]

    def test_more_is_debited_beyond_the_quota(self, caller: Reserver) -> None:
        reservation = caller.reserved(600)
        assert caller.settle(reservation, 1_250).json() == {
            "reservation": reservation,
            "cost": 1_250,
            "refunded": 0,
            "overdrawn": 250,
        }
        assert caller.left() == [0]

    @pytest.mark.parametrize("cost", [0, 10**9])
    def test_the_smallest_and_the_largest_cost(self, caller: Reserver, cost: int) -> None:
        assert caller.settle(caller.reserved(600), cost).json()["cost"] == cost

    def test_without_a_cost_what_was_reserved_is_kept(self, caller: Reserver) -> None:
        reservation = caller.reserved(600)
        expected = {"reservation": reservation, "cost": 600, "refunded": 0, "overdrawn": 0}
        assert caller.settle(reservation).json() == expected
        assert caller.left() == [400]

    def test_the_same_call_again_has_the_same_answer(self, caller: Reserver) -> None:
        reservation = caller.reserved(600)
        answers = [caller.settle(reservation, cost).content for cost in (20, 20, None)]
        assert len(set(answers)) == 1
        assert caller.left() == [980]

    def test_another_cost_is_a_conflict(self, caller: Reserver) -> None:
        reservation = caller.reserved(600)
        caller.settle(reservation, 20)
        response = caller.settle(reservation, 30)
        body = response.json()
        assert (response.status_code, response["Content-Type"]) == (409, "application/problem+json")
        assert (body["type"], body["status"]) == ("/problems/settled-at-another-cost", 409)
        assert body["detail"] == "The reservation was settled at a cost of 20."
        members = ("reservation", "cost", "refunded", "overdrawn")
        assert [body[name] for name in members] == [reservation, 20, 580, 0]
        assert caller.left() == [980]

    @pytest.mark.parametrize("cost", [-1, 10**9 + 1, 10**300, 1.0, True, "20", None, [20]])
    def test_invalid_costs(self, caller: Reserver, cost: Any) -> None:
        response = caller.post(f"/v1/reservations/{caller.reserved(600)}/settle", {"cost": cost})
        assert refused(response) == (400, {"cost": [SETTLED_COST]})
        assert caller.left() == [400]

    @pytest.mark.parametrize(
        ("body", "errors"),
        [
            (b"[]", {"body": ["must be a JSON object."]}),
            (b"", {"body": ["is empty."]}),
            (b'{"cost": 1, "cost": 2}', {"body": ["has the duplicate name “cost” in one object."]}),
            (b'{"refund": 1}', {"refund": ["is not a field of a settlement."]}),
        ],
    )
    def test_invalid_bodies(self, caller: Reserver, body: bytes, errors: Any) -> None:
        assert refused(caller.send(f"/v1/reservations/{UNKNOWN_ID}/settle", body)) == (400, errors)

    @pytest.mark.parametrize("reservation", WRONG_IDS, ids=range(len(WRONG_IDS)))
    def test_unknown_ids(self, caller: Reserver, reservation: str) -> None:
        response = caller.settle(reservation, 1)
        assert (response.status_code, response.json()["type"]) == (404, "/problems/unknown-reservation")

    @pytest.mark.parametrize("path", ["a/b/settle", "a%2Fb/settle", "/settle", "a/settle/", "a/settle/b"])
    def test_an_id_is_one_segment_of_a_path(self, caller: Reserver, path: str) -> None:
        response = caller.post(f"/v1/reservations/{path}", {})
        assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found")

    def test_an_id_may_be_percent_encoded(self, caller: Reserver) -> None:
        reservation = caller.reserved(600)
        encoded = "".join(f"%{ord(character):02X}" for character in reservation)
        assert caller.settle(encoded, 20).json()["reservation"] == reservation


@pytest.mark.usefixtures("shop")
class TestDeleting:
    def test_everything_is_refunded(self, caller: Reserver) -> None:
        reservation = caller.reserved(600)
        for _ in range(2):
            response = caller.delete(reservation)
            assert (response.status_code, response.content) == (204, b"")
        assert caller.left() == [1_000]
        assert caller.settle(reservation, 0).json()["refunded"] == 600

    def test_after_a_settlement_it_is_a_conflict(self, caller: Reserver) -> None:
        reservation = caller.reserved(600)
        caller.settle(reservation, 20)
        response = caller.delete(reservation)
        assert (response.status_code, response.json()["cost"]) == (409, 20)

    @pytest.mark.parametrize("reservation", WRONG_IDS[:-1], ids=range(len(WRONG_IDS) - 1))
    def test_unknown_ids(self, caller: Reserver, reservation: str) -> None:
        response = caller.delete(reservation)
        assert (response.status_code, response.json()["type"]) == (404, "/problems/unknown-reservation")


@pytest.mark.usefixtures("shop")
class TestConcurrency:
    def stream(self, caller: Reserver, path: str = "/v1/check") -> Any:
        return caller.post(path, {"client": "ann", "endpoint": "stream", "cost": 10})

    def test_deleting_a_check_frees_its_place_and_keeps_its_cost(self, caller: Reserver) -> None:
        first, second = self.stream(caller).json(), self.stream(caller).json()
        assert first["reservation"] != second["reservation"]
        assert first["expires_at"]
        denied = self.stream(caller)
        assert (denied.status_code, denied["Retry-After"]) == (429, "1")
        assert (denied.json()["reservation"], denied.json()["violated-policies"]) == (None, ["stream:concurrent"])
        assert caller.delete(first["reservation"]).status_code == 204
        assert caller.left(endpoint="stream") == [1, 80]
        assert self.stream(caller).status_code == 200

    def test_a_reservation_frees_its_place_when_it_is_settled(self, caller: Reserver) -> None:
        reservation = self.stream(caller, "/v1/reservations").json()["reservation"]
        assert caller.left(endpoint="stream") == [1, 90]
        caller.settle(reservation, 4)
        assert caller.left(endpoint="stream") == [2, 96]

    def test_peek_and_a_batch(self, caller: Reserver) -> None:
        assert self.stream(caller, "/v1/peek").json()["reservation"] is None
        checks = [{"client": "ann", "endpoint": "stream"}] * 3
        results = caller.post("/v1/check/batch", {"checks": checks}).json()["results"]
        assert [(each["status"], each["reservation"] is None) for each in results] == [
            (200, False),
            (200, False),
            (429, True),
        ]
        assert results[2]["expires_at"] is None


PATHS = ["/v1/reservations", f"/v1/reservations/{UNKNOWN_ID}/settle", "/v1/reservations/settle", "/v1/charge"]


@pytest.mark.usefixtures("shop")
class TestAccess:
    @pytest.mark.parametrize("path", PATHS)
    def test_tokens_methods_and_queries(self, caller: Reserver, path: str) -> None:
        assert caller.post(path, {}, token=None).status_code == 401
        assert caller.post(path, {}, token="unknown").status_code == 401
        assert caller.post(path, {}, token="manager").status_code == 403
        wrong = caller.client.get(path)
        assert (wrong.status_code, wrong["Allow"]) == (405, "POST")
        assert refused(caller.post(f"{path}?dry_run=1", {})) == (400, {"dry_run": ["is not a query parameter here."]})
        assert caller.send(path, b"{}", content_type="text/plain").status_code == 415
        assert caller.send(path, b"{}", accept="text/html").status_code == 406

    def test_deleting(self, caller: Reserver) -> None:
        reservation = caller.reserved(600)
        assert caller.delete(reservation, token="manager").status_code == 403
        assert caller.delete(reservation, token="unknown").status_code == 401
        assert caller.delete(f"{reservation}?dry_run=1").status_code == 400
        wrong = caller.post(f"/v1/reservations/{reservation}", {})
        assert (wrong.status_code, wrong["Allow"]) == (405, "DELETE")
        assert caller.left() == [400]

    def test_a_revoked_token_settles_nothing(self, caller: Reserver, shop: Store) -> None:
        reservation = caller.reserved(600)
        shop.publish(replace(RULES, tokens=(token("other", Scope.CHECK),)))
        statuses = [
            caller.settle(reservation, 1).status_code,
            caller.settle_all({"reservation": reservation}).status_code,
            caller.delete(reservation).status_code,
            caller.charge(1).status_code,
            caller.reserve(1).status_code,
        ]
        assert statuses == [401] * 5
        shop.publish(RULES)
        assert caller.left() == [400]

    @pytest.mark.parametrize("path", PATHS[:2] + PATHS[3:])
    def test_bodies_of_64_kib(self, caller: Reserver, path: str) -> None:
        assert caller.send(path, b"{}".ljust(64 * 1024 + 1)).status_code == 413


class TestOutages:
    def test_a_policy_may_deny_reservations(self, caller: Reserver, lone: RedisServer) -> None:
        caller.reserved(600)
        lone.kill()
        response = caller.reserve(1)
        assert (response.status_code, response["Retry-After"]) == (503, "1")
        assert (response.json()["degraded"], response.json()["reservation"]) == (True, None)

    def test_settling_may_be_sent_again(self, caller: Reserver, lone: RedisServer) -> None:
        reservation = caller.reserved(600)
        lone.kill()
        for response in (caller.settle(reservation, 20), caller.delete(reservation)):
            assert (response.status_code, response["Retry-After"]) == (503, "1")
            assert response.json()["type"] == "/problems/store-unavailable"
            assert response.json()["detail"] == "The store is unavailable. The settlement may be sent again."
        charge = caller.charge(1)
        assert (charge.status_code, charge["Retry-After"]) == (503, "1")
        assert charge.json()["type"] == "/problems/store-unavailable"

    def test_what_is_sent_again_after_an_outage_is_carried_out_once(
        self, caller: Reserver, lone: RedisServer, settings: Settings
    ) -> None:
        """The paused server carries out what it received as soon as it continues."""
        reservation = caller.reserved(600)
        settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"CHECK_DEADLINE": 0.5}
        wait_until(lambda: caller.charge(100, headers=with_key("first")).status_code == 200)
        lone.pause()
        charged, settled = caller.charge(30, headers=with_key("second")), caller.settle(reservation, 20)
        lone.resume()
        assert (charged.status_code, settled.status_code) == (503, 503)
        wait_until(lambda: caller.charge(30, headers=with_key("second")).status_code == 200)
        wait_until(lambda: caller.settle(reservation, 20).status_code == 200)
        assert caller.left() == [1_000 - 100 - 30 - 20]

    def test_a_degraded_reservation_is_settled_without_the_store(self, caller: Reserver, lone: RedisServer) -> None:
        assert caller.reserve(2, endpoint="search").status_code == 200
        lone.kill()
        response = caller.reserve(1, client="bob", endpoint="search")
        body = response.json()
        assert (response.status_code, body["degraded"]) == (200, True)
        assert body["expires_at"]
        settled = caller.settle(body["reservation"], 7)
        assert (settled.status_code, settled.json()["cost"], settled.json()["refunded"]) == (200, 7, 0)
        assert caller.delete(body["reservation"]).status_code == 204

    def test_a_place_is_freed_without_the_store(self, caller: Reserver, lone: RedisServer) -> None:
        lone.kill()
        held = [caller.reserve(1, endpoint="stream") for _ in range(2)]
        assert [response.status_code for response in held] == [200, 200]
        assert caller.reserve(1, endpoint="stream").status_code == 429
        caller.delete(held[0].json()["reservation"])
        assert caller.reserve(1, endpoint="stream").status_code == 200


def test_exempt_status_is_not_needed_later(caller: Reserver, shop: Store) -> None:
    """A client that becomes exempt or blocked can still settle what it has reserved."""
    first, second = caller.reserved(100, client="acme"), caller.reserved(100, client="acme")
    acme = CLIENTS[0]
    for revision, status, reservation in ((4, ClientStatus.BLOCKED, first), (5, ClientStatus.EXEMPT, second)):
        shop.put(replace(acme, revision=revision, status=status))
        assert caller.settle(reservation, 10).json()["refunded"] == 90
