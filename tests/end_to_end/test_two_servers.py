"""Two real web servers with one PostgreSQL and one Redis."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import httpx
import pytest
from django.db import connection
from redis import Redis

from limits.models import ApiToken, Client, Plan, PolicyLimit
from limits.publishing import clients
from limits.publishing.reconciler import reconcile
from ratelimit_enforcer.store import scripts
from tests.end_to_end.shop import CONNECTIONS, SECRET, ask, policy, publish
from tests.support.web import WebServer, running_servers

pytestmark = [pytest.mark.xdist_group("two-servers"), pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def two_servers(django_db_setup: None) -> Iterator[list[WebServer]]:
    """Two servers with two processes each, because state shared within a server matters here."""
    with running_servers(2, workers=2) as servers:
        yield servers


@pytest.fixture
def servers(live_rules: None, two_servers: list[WebServer]) -> list[WebServer]:
    return two_servers


def admitted_of_400(http: httpx.Client, servers: list[WebServer]) -> int:
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        answers = pool.map(lambda number: ask(http, servers[number % 2]), range(400))
        return sum(answer["allowed"] for answer in answers)


def test_400_requests_from_32_connections_admit_exactly_the_quota(servers: list[WebServer], http: httpx.Client) -> None:
    policy("all", (100, 3_600))
    publish()
    assert admitted_of_400(http, servers) == 100


def test_the_strictest_of_several_limits_decides_and_the_others_consume_the_same(
    servers: list[WebServer], http: httpx.Client
) -> None:
    policy("one", (100, 3_600), (70, 7_200))
    policy("two", (90, 3_600))
    publish()
    assert admitted_of_400(http, servers) == 70
    left = {limit["name"]: limit["remaining"] for limit in ask(http, servers[0], "peek")["limits"]}
    assert left == {"one:3600s": 30, "one:7200s": 0, "two:3600s": 20}


def under_load(
    servers: list[WebServer], change: Callable[[Callable[[Any], None]], None]
) -> list[tuple[Any, dict[str, Any]]]:
    """Runs ``change`` while eight threads send checks to both servers. Returns a pair for each check: the
    latest change announced before it began, and its answer."""
    announced: list[Any] = [None]
    stop = threading.Event()

    def load(server: WebServer) -> list[tuple[Any, dict[str, Any]]]:
        seen = []
        with httpx.Client(headers={"Authorization": f"Bearer {SECRET}"}, timeout=30) as http:
            while not stop.is_set():
                before = announced[0]
                seen.append((before, ask(http, server)))
        return seen

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(load, servers[number % 2]) for number in range(8)]
        try:
            change(lambda value: announced.__setitem__(0, value))
        finally:
            stop.set()
        return [pair for future in running for pair in future.result()]


def test_twenty_publications_under_load_leave_no_check_on_older_rules(servers: list[WebServer]) -> None:
    limit = policy("all", (10**9, 3_600)).limits.get()

    def change(announce: Callable[[Any], None]) -> None:
        for number in range(20):
            PolicyLimit.objects.filter(pk=limit.pk).update(quota=10**9 - number - 1)
            announce((publish(), 10**9 - number - 1))

    seen = [(before, answer) for before, answer in under_load(servers, change) if before]
    stale = [pair for pair in seen if pair[1]["ruleset"] < pair[0][0] or pair[1]["limit"] > pair[0][1]]
    assert len(seen) > 20
    assert stale == []


def test_twenty_changes_of_a_clients_plan_leave_no_check_on_an_older_plan(servers: list[WebServer]) -> None:
    plans = [Plan.objects.create(slug=f"plan-{number}", name=f"Plan {number}") for number in range(20)]
    policy("all", (10**9, 3_600))
    publish()
    client = Client.objects.create(key="acme", plan=plans[0])
    assert clients.deliver(["acme"]).live

    def change(announce: Callable[[Any], None]) -> None:
        for number, plan in enumerate(plans):
            Client.objects.filter(pk=client.pk).update(plan=plan)
            assert clients.deliver(["acme"]).live
            announce(number)

    seen = [(before, answer) for before, answer in under_load(servers, change) if before is not None]
    stale = [pair for pair in seen if int(pair[1]["plan"].removeprefix("plan-")) < pair[0]]
    assert len(seen) > 20
    assert stale == []


def test_a_revocation_takes_effect_with_the_publication_on_both_servers(
    servers: list[WebServer], http: httpx.Client
) -> None:
    policy("all", (10**9, 3_600))
    publish()
    assert [ask(http, server)["status"] for server in servers] == [200, 200]

    def change(announce: Callable[[Any], None]) -> None:
        ApiToken.objects.filter(name="test").update(revoked_at="2026-01-01T00:00:00Z")
        publish()
        announce("revoked")
        for server in servers:
            assert ask(http, server)["status"] == 401

    seen = under_load(servers, change)
    assert {answer["status"] for before, answer in seen if before} <= {401}


BY_THE_SCRIPT = {
    "cmdstat_time",
    "cmdstat_hmget",
    "cmdstat_get",
    "cmdstat_set",
    "cmdstat_hlen",
    "cmdstat_hincrby",
    "cmdstat_hset",
}
BY_A_HEARTBEAT = {"cmdstat_time", "cmdstat_hset", "cmdstat_hgetall", "cmdstat_hdel", "cmdstat_expire"}
BY_THIS_TEST = {"cmdstat_config", "cmdstat_config|resetstat", "cmdstat_info", "cmdstat_evalsha"}
BY_A_CONNECTION = {"cmdstat_hello", "cmdstat_client", "cmdstat_select"}


def test_a_check_sends_one_redis_command_and_no_sql_query(
    servers: list[WebServer], http: httpx.Client, redis: Redis
) -> None:
    redis.script_load(scripts.load("heartbeat").source)
    policy("one", (10**9, 3_600), (10**9, 60))
    policy("two", (10**9, 3_600))
    publish()
    for server in servers:
        ask(http, server)
    began = sql_time()
    redis.config_resetstat()
    for number in range(50):
        assert ask(http, servers[number % 2])["allowed"]
    stats = redis.info("commandstats")
    # Heartbeats of the processes call the only script that uses HGETALL.
    heartbeats = stats.get("cmdstat_hgetall", {}).get("calls", 0)
    assert stats["cmdstat_evalsha"]["calls"] == 50 + heartbeats
    assert set(stats) <= BY_THE_SCRIPT | BY_A_HEARTBEAT | BY_THIS_TEST | BY_A_CONNECTION
    assert sql_queries_since(began) == 0


def sql_time() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
        assert isinstance(now, datetime)
        return now


def sql_queries_since(moment: datetime) -> int:
    """The number of other sessions with a query or connection since this time; connections are persistent."""
    assert connection.settings_dict["CONN_MAX_AGE"] > 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend' AND greatest(backend_start, query_start) > %s",
            [moment],
        )
        return int(cursor.fetchone()[0])


def test_an_emptied_redis_is_restored_and_limits_are_enforced_meanwhile(
    servers: list[WebServer], http: httpx.Client, redis: Redis
) -> None:
    policy("all", (2, 3_600))
    publish()
    assert ask(http, servers[0])["allowed"]
    redis.flushall()
    assert [ask(http, servers[0])["degraded"], ask(http, servers[0])["allowed"]] == [True, True]
    assert ask(http, servers[0])["status"] == 429
    assert reconcile().clients_loaded
    answer = ask(http, servers[1])
    assert (answer["status"], answer["degraded"]) == (429, False)


def organisation() -> list[str]:
    """An organisation with 1,000 requests per hour for all of its 20 keys. The first key has a plan of 100."""
    plans = {slug: Plan.objects.create(slug=slug, name=slug) for slug in ("enterprise", "small")}
    for slug, quota in (("enterprise", 1_000), ("small", 100)):
        policy(slug, (quota, 3_600), plan=slug)
    publish()
    acme = Client.objects.create(key="acme", plan=plans["enterprise"])
    keys = [f"acme-{number}" for number in range(20)]
    for key in keys:
        Client.objects.create(key=key, parent=acme, plan=plans["small"] if key == keys[0] else None)
    assert clients.deliver().live
    return keys


def test_an_organisation_with_20_keys_gets_exactly_its_quota(servers: list[WebServer], http: httpx.Client) -> None:
    keys = organisation()

    def admitted(key: str) -> list[bool]:
        return [ask(http, server, client=key)["allowed"] for server in (servers if key != keys[0] else servers * 4)]

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        of_first = sum(sum(answers) for answers in pool.map(admitted, [keys[0]] * 25))
        left = ask(http, servers[0], "peek", client=keys[0])["limits"]
        of_others = sum(sum(answers) for answers in pool.map(admitted, keys[1:] * 30))
    assert of_first == 100
    assert {limit["name"]: limit["remaining"] for limit in left} == {"small:3600s": 0, "enterprise:3600s~1": 900}
    assert of_others == 900
