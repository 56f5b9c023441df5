"""The header ``Idempotency-Key``: the same request again is carried out once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest

from api.idempotency import _parse
from api.problems import ProblemResponse
from ratelimit_enforcer.domain.enums import Scope
from tests.api.conftest import token
from tests.api.reservations.conftest import RULES, Reserver, with_key
from tests.support.servers import Store

THREADS = 8


@pytest.mark.usefixtures("shop")
def test_the_same_reservation_again_reserves_once(caller: Reserver) -> None:
    first, again = (caller.reserve(600, headers=with_key("k1")) for _ in range(2))
    assert (again.status_code, again.json()["allowed"]) == (200, True)
    for name in ("reservation", "expires_at", "cost"):
        assert first.json()[name] == again.json()[name]
    assert caller.left() == [400]


@pytest.mark.usefixtures("shop")
def test_a_reservation_at_another_cost_has_the_first_answer(caller: Reserver) -> None:
    first = caller.reserved(600, headers=with_key("k1"))
    again = caller.reserve(10, headers=with_key("k1")).json()
    assert (again["reservation"], again["cost"]) == (first, 600)


@pytest.mark.usefixtures("shop")
def test_after_settling_it_is_still_the_same_reservation(caller: Reserver) -> None:
    first = caller.reserved(600, headers=with_key("k1"))
    caller.settle(first, 20)
    again = caller.reserve(600, headers=with_key("k1")).json()
    assert (again["allowed"], again["reservation"], again["cost"]) == (True, first, 600)
    assert caller.settle(first, 20).status_code == 200
    assert caller.left() == [980]


@pytest.mark.usefixtures("shop")
def test_a_denied_reservation_is_decided_again(caller: Reserver) -> None:
    held = caller.reserved(900)
    assert caller.reserve(600, headers=with_key("k1")).status_code == 429
    caller.delete(held)
    assert caller.reserve(600, headers=with_key("k1")).status_code == 200
    assert caller.left() == [400]


@pytest.mark.usefixtures("shop")
def test_the_same_charge_again_debits_once(caller: Reserver) -> None:
    first, again = (caller.charge(1_300, headers=with_key("k1")) for _ in range(2))
    assert (first.status_code, first.json()["overdrawn"]) == (200, 300)
    assert first.json() == again.json()
    caller.charge(1, headers=with_key("k2"))
    assert caller.left() == [0]


@pytest.mark.usefixtures("shop")
def test_a_charge_at_another_cost_is_a_conflict(caller: Reserver) -> None:
    caller.charge(400, headers=with_key("k1"))
    response = caller.charge(401, headers=with_key("k1"))
    assert (response.status_code, response["Content-Type"]) == (409, "application/problem+json")
    assert response.json() == {
        "type": "/problems/settled-at-another-cost",
        "title": "The cost was settled before, at another amount.",
        "status": 409,
        "detail": "This Idempotency-Key was used for a charge of 400.",
        "cost": 400,
        "overdrawn": 0,
    }
    assert caller.left() == [600]


def test_keys_are_separate_for_each_token_client_and_kind(caller: Reserver, shop: Store) -> None:
    shop.publish(replace(RULES, tokens=(*RULES.tokens, token("other", Scope.CHECK))))
    requests: list[Callable[..., Any]] = [
        lambda headers: caller.reserve(10, headers=headers),
        lambda headers: caller.reserve(10, headers=headers | {"authorization": "Bearer other"}),
        lambda headers: caller.charge(10, headers=headers),
        lambda headers: caller.charge(10, headers=headers | {"authorization": "Bearer other"}),
    ]
    for _ in range(2):
        assert [request(with_key("k1")).status_code for request in requests] == [200] * 4
    assert caller.left() == [960]
    reserved = {caller.reserved(10, client=f"client {at}", headers=with_key("k1")) for at in range(600)}
    assert len(reserved) == 600


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(("kind", "cost"), [("reserve", 100), ("reserve", 1_000), ("charge", 100), ("charge", 1_000)])
def test_in_parallel_it_is_carried_out_once(caller: Reserver, kind: str, cost: int) -> None:
    barrier = Barrier(THREADS)

    def request(_: int) -> Any:
        barrier.wait()
        return getattr(Reserver(copy(caller.client)), kind)(cost, headers=with_key("k1")).json()

    with ThreadPoolExecutor(THREADS) as pool:
        bodies = list(pool.map(request, range(THREADS)))
    assert [body["cost"] for body in bodies] == [cost] * THREADS
    assert len({body.get("reservation") for body in bodies}) == 1
    assert caller.left() == [1_000 - cost]


def test_any_server_recognizes_the_key(caller: Reserver, shop: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = caller.reserved(600, headers=with_key("k1"))
    caller.charge(50, headers=with_key("k1"))
    other = shop.engine()
    monkeypatch.setattr("api.reservations.get_engine", lambda: other)
    assert caller.reserved(600, headers=with_key("k1")) == first
    assert caller.charge(50, headers=with_key("k1")).json()["cost"] == 50
    assert caller.left() == [350]


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("k1", "k1"),
        ('"k1"', "k1"),
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("x" * 255, "x" * 255),
        (f'"{"x" * 255}"', "x" * 255),
        (r'"a \"b\" \\"', 'a "b" \\'),
        ('a"b', 'a"b'),
        ("!~", "!~"),
    ],
    ids=range(8),
)
def test_valid_keys(header: str, key: str) -> None:
    assert _parse(header) == key


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "a b",
        "x" * 256,
        f'"{"x" * 256}"',
        '""',
        '"',
        '"a',
        '"a"b',
        '"a";p=1',
        r'"\a"',
        '"\\"',
        "é",
        "a\x7f",
        "\t",
    ],
)
def test_invalid_keys(header: str) -> None:
    with pytest.raises(ProblemResponse) as refused:
        _parse(header)
    assert refused.value.errors == {"Idempotency-Key": ["must have 1 to 255 visible ASCII characters."]}


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("kind", ["reserve", "charge"])
def test_an_invalid_key_is_a_400(caller: Reserver, kind: str) -> None:
    response = getattr(caller, kind)(100, headers=with_key("a b"))
    assert (response.status_code, response.json()["type"]) == (400, "/problems/invalid-request")
    assert list(response.json()["errors"]) == ["Idempotency-Key"]
    assert caller.left() == [1_000]


@pytest.mark.usefixtures("shop")
def test_a_quoted_key_is_the_same_key(caller: Reserver) -> None:
    assert caller.reserved(600, headers=with_key("k1")) == caller.reserved(600, headers=with_key('"k1"'))
