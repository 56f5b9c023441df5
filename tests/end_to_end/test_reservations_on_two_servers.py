"""Reservations on two real servers with one Redis."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any

import httpx
import pytest

from tests.end_to_end.shop import CONNECTIONS, ask, policy, publish
from tests.support.web import WebServer

pytestmark = pytest.mark.django_db(transaction=True)

Post = Callable[..., httpx.Response]


@pytest.fixture
def post(servers: list[WebServer], http: httpx.Client) -> Post:
    """Posts a body to one server after the other, about a client with 1,000 per hour."""
    policy("all", (1_000, 3_600))
    publish()
    urls = cycle(server.url for server in servers)

    def send(path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        return http.post(f"{next(urls)}/v1/{path}", json=body, headers=headers)

    return send


def search(cost: int) -> dict[str, Any]:
    return {"client": "acme", "endpoint": "search", "cost": cost}


def left(http: httpx.Client, servers: list[WebServer]) -> set[int]:
    return {ask(http, server, "peek")["remaining"] for server in servers}


def test_each_server_settles_and_deletes_reservations_of_the_other(
    post: Post, http: httpx.Client, servers: list[WebServer]
) -> None:
    first, other = servers
    for one, another in ((first, other), (other, first)):
        made = [http.post(f"{one.url}/v1/reservations", json=search(300)).json()["reservation"] for _ in range(2)]
        settled = http.post(f"{another.url}/v1/reservations/{made[0]}/settle", json={"cost": 20})
        assert (settled.status_code, settled.json()["refunded"]) == (200, 280)
        assert http.post(f"{one.url}/v1/reservations/{made[0]}/settle", json={"cost": 20}).json() == settled.json()
        assert http.delete(f"{another.url}/v1/reservations/{made[1]}").status_code == 204
    assert left(http, servers) == {960}


def test_fifty_requests_reserve_100_and_cost_20(post: Post, http: httpx.Client, servers: list[WebServer]) -> None:
    """At most ten of them hold a reservation at the same time, and all are served in the end."""

    def serve(_: int) -> int:
        while not (reserved := post("reservations?status=200", search(100)).json())["allowed"]:
            assert reserved["reason"] == "limit"
        settled = post(f"reservations/{reserved['reservation']}/settle", {"cost": 20})
        assert settled.status_code == 200
        return int(settled.json()["cost"])

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        assert sum(pool.map(serve, range(45))) == 900
    assert left(http, servers) == {100}


@pytest.mark.parametrize("path", ["reservations", "charge"])
def test_a_key_sent_to_both_servers_at_once_is_carried_out_once(
    post: Post, http: httpx.Client, servers: list[WebServer], path: str
) -> None:
    def send(at: int) -> Any:
        response = post(path, search(10), **{"Idempotency-Key": f"key-{at % 4}"})
        assert response.status_code == 200, response.text
        return response.json().get("reservation")

    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(send, range(32)))
    assert len(made) == (4 if path == "reservations" else 1)
    assert left(http, servers) == {960}
