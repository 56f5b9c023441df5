"""Each key that a check reads, with every wrong type and random bytes: no error, no effect on other clients."""

import random
from collections.abc import Callable

import pytest
from django.http import HttpRequest, HttpResponse
from pytest_django import Settings
from redis import Redis
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from limits.store.usage import UsageCounts
from ratelimit_enforcer.decorators import rate_limit
from ratelimit_enforcer.engine import get_engine
from ratelimit_enforcer.log_limiter import RateLimitedLog
from ratelimit_enforcer.store import damage
from ratelimit_enforcer.store.keys import client_field, shard_of
from ratelimit_enforcer.throttling import AtomicAnonRateThrottle, PolicyThrottle
from tests.api.conftest import Caller
from tests.support.servers import Store
from tests.support.waiting import wait_until
from tests.throttling.views import KEY_IN_HEADER, request_of, send

VICTIM, OTHER = "ann", "acme"
Spoil = Callable[[Redis, str], object]
TYPES: dict[str, Spoil] = {
    "string": lambda redis, key: redis.set(key, b"\xff\x00 nonsense"),
    "empty": lambda redis, key: redis.set(key, b""),
    "list": lambda redis, key: redis.rpush(key, "1", b"\xff", "x"),
    "set": lambda redis, key: redis.sadd(key, "1"),
    "zset": lambda redis, key: redis.zadd(key, {"1": 1}),
    "hash": lambda redis, key: redis.hset(
        key, mapping={b"\xff": b"\xfe", "token": "x", "id": "\n", "1\na\n\n\nann": "1e9"}
    ),
    "stream": lambda redis, key: redis.xadd(key, {"a": "b"}),
}


@pytest.fixture
def keyed_shop(shop: Store, settings: Settings) -> Store:
    """The shop; views identify the client by the header ``X-Key``."""
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"CLIENT_IDENTIFIER": KEY_IN_HEADER}
    return shop


def keys_of(store: Store) -> dict[str, str]:
    shard = shard_of(VICTIM)
    keys = store.keys
    return {
        "shard": keys.shards[shard],
        "usage": keys.usage[shard],
        "new counts": keys.of_request[shard][2],
        "drain": keys.drains[shard],
        "counter": keys.counter(shard, "free-search", VICTIM),
        "shadow counter": keys.counter(shard, "trial", VICTIM),
        "processes": keys.processes,
        "pointer": keys.pointer,
        "damaged": keys.damaged,
    }


class View(APIView):
    throttle_classes = (PolicyThrottle,)
    throttle_endpoint = "search"

    def get(self, request: Request) -> Response:
        return Response()


@rate_limit(endpoint="search")
def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def ask_everything(caller: Caller, client: str) -> list[int]:
    check = {"client": client, "endpoint": "search"}
    answers = [
        caller.post("/v1/check", check),
        caller.post("/v1/peek", check),
        caller.post("/v1/check/batch", {"checks": [check, {"client": OTHER, "endpoint": "search"}, check]}),
        caller.client.get(f"/v1/usage?client={client}", headers={"authorization": "Bearer checker"}),
        caller.client.get("/readyz"),
        send(View.as_view(), request_of(client)),
        send(plain, request_of(client)),
    ]
    get_engine()._fallback._next_beat = 0.0
    return [answer.status_code for answer in answers]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    "name", ["shard", "usage", "new counts", "drain", "counter", "shadow counter", "processes", "pointer", "damaged"]
)
def test_a_key_of_a_wrong_type(caller: Caller, keyed_shop: Store, name: str, kind: str) -> None:
    ask_everything(caller, VICTIM)
    key = keys_of(keyed_shop)[name]
    keyed_shop.redis.delete(key)
    TYPES[kind](keyed_shop.redis, key)
    for client in (VICTIM, OTHER):
        statuses = ask_everything(caller, client)
        assert all(status in (200, 429, 503) for status in statuses), statuses
    assert not get_engine()._decider._connections._breaker.is_open  # type: ignore[attr-defined]
    other = caller.post("/v1/check", {"client": OTHER, "endpoint": "search"}).json()
    assert (other["allowed"], other["degraded"]) == (True, False)
    drain(keyed_shop)


def drain(store: Store) -> None:
    counts = UsageCounts(store.redis, store.keys)
    parcels = counts.set_aside()
    for parcel in parcels:
        counts.read(parcel)
    counts.finish(parcels)
    # New counts start from zero, and the next check sends a heartbeat.
    get_engine()._fallback._next_beat = 0.0


@pytest.mark.parametrize("seed", range(40))
def test_a_counter_with_corrupted_bytes(caller: Caller, keyed_shop: Store, seed: int) -> None:
    dice = random.Random(seed)
    for endpoint, policy in (("search", "free-search"), ("orders", "free-orders")):
        check = {"client": VICTIM, "endpoint": endpoint}
        caller.post("/v1/check", check)
        key = keyed_shop.keys.counter(shard_of(VICTIM), policy, VICTIM)
        for _ in range(5):
            written = keyed_shop.redis.get(key) or b"\x00" * 40
            keyed_shop.redis.set(key, damaged(written, dice), px=60_000)
            body = caller.post("/v1/peek", check)
            assert body.status_code == 200
            found = body.json()
            assert found["remaining"] is None or found["remaining"] >= 0
            assert caller.post("/v1/check", check).status_code in (200, 429, 503)


def damaged(written: bytes, dice: random.Random) -> bytes:
    match dice.randrange(5):
        case 0:
            return written[: dice.randrange(len(written))]
        case 1:
            return dice.randbytes(dice.randrange(80))
        case 2:
            return written + dice.randbytes(dice.randrange(1, 30))
        case 3:
            at = dice.randrange(len(written))
            return written[:at] + b"\xff" * (len(written) - at)
    at = dice.randrange(len(written))
    return written[:at] + dice.randbytes(1) + written[at + 1 :]


@pytest.mark.parametrize(
    "token", [b"", b"x", b"\xff\xfe", b"a:b:c", b"e:1:2:3", b"epoch:99:" + b"0" * 64, b"e:" + b"9" * 5000 + b":d"]
)
def test_a_version_token_without_rules(caller: Caller, keyed_shop: Store, token: bytes) -> None:
    ask_everything(caller, VICTIM)
    for spoil in (
        lambda: keyed_shop.redis.hset(keyed_shop.keys.shards[shard_of(VICTIM)], "token", token),
        lambda: keyed_shop.redis.set(keyed_shop.keys.pointer, token),
    ):
        spoil()
        assert all(status in (200, 429, 503) for status in ask_everything(caller, VICTIM))
    other = caller.post("/v1/check", {"client": OTHER, "endpoint": "search"}).json()
    assert (other["allowed"], other["degraded"]) == (True, False)


@pytest.mark.parametrize("token", [b"x", b"\xff\xfe", "é".encode()])
def test_a_batch_replaces_an_invalid_token_of_a_shard(caller: Caller, keyed_shop: Store, token: bytes) -> None:
    shard = keyed_shop.keys.shards[shard_of(VICTIM)]
    ask_everything(caller, VICTIM)
    keyed_shop.redis.hset(shard, "token", token)
    checks = [{"client": name, "endpoint": "search"} for name in (VICTIM, OTHER, VICTIM)]
    results = caller.post("/v1/check/batch", {"checks": checks}).json()["results"]
    assert [each["degraded"] for each in results] == [True, False, False]
    assert keyed_shop.redis.hget(shard, "token") == keyed_shop.redis.get(keyed_shop.keys.pointer)


@pytest.mark.parametrize(
    "record", [b"", b"\xff", b"x {}", b"7 {", b"7 []", b'7 {"plan": 1}', b"7 null", b"9" * 5000, b"7 " + b"[" * 2000]
)
def test_an_invalid_client_record(caller: Caller, keyed_shop: Store, record: bytes) -> None:
    keyed_shop.redis.hset(keyed_shop.keys.shards[shard_of(VICTIM)], client_field(VICTIM), record)
    assert all(status in (200, 429, 503) for status in ask_everything(caller, VICTIM))
    body = caller.post(
        "/v1/check/batch", {"checks": [{"client": name, "endpoint": "search"} for name in (VICTIM, OTHER)]}
    )
    assert [each["degraded"] for each in body.json()["results"]][1] is False


def test_damage_is_counted_and_logged_once_without_the_clients_key(
    caller: Caller, keyed_shop: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(damage, "_limited_log", RateLimitedLog(damage._limited_log._logger))
    damage._unreported.clear()
    check = {"client": VICTIM, "endpoint": "search"}
    caller.post("/v1/check", check)
    key = keys_of(keyed_shop)["counter"]
    for _ in range(3):
        keyed_shop.redis.delete(key)
        keyed_shop.redis.rpush(key, "x")
        assert caller.post("/v1/check", check).json()["degraded"]
        assert not caller.post("/v1/check", check).json()["degraded"]
    lines = [line for line in caplog.messages if "store_data_damaged" in line]
    assert len(lines) == 1
    assert VICTIM not in lines[0]
    get_engine()._fallback._next_beat = 0.0
    caller.post("/v1/check", check)
    counts = UsageCounts(keyed_shop.redis, keyed_shop.keys)
    wait_until(lambda: counts.damage_found() is not None)
    found = counts.damage_found()
    assert found is not None
    assert found.kinds == {"counter": 3}


@pytest.mark.parametrize("kind", TYPES)
def test_a_damaged_log_of_a_throttle_class(keyed_shop: Store, settings: Settings, kind: str) -> None:
    class Slow(AtomicAnonRateThrottle):
        rate = "2/day"

    view = type("Slowed", (View,), {"throttle_classes": (Slow,)}).as_view()
    send(view, request_of())
    (key,) = keyed_shop.redis.keys(f"{keyed_shop.keys.namespace}:rate:*")
    keyed_shop.redis.delete(key)
    TYPES[kind](keyed_shop.redis, key.decode())
    assert [send(view, request_of()).status_code for _ in range(4)][:1] == [200]
    assert send(view, request_of()).status_code == 429
