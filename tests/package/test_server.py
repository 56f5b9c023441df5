"""A separate project with a real server, another database, and a Redis user without permission to publish."""

import secrets
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import http_sf
import httpx
import pytest
from django.contrib.auth.models import User
from redis import Redis
from redis.exceptions import NoPermissionError

from limits.models import Client, Plan, Policy, PolicyLimit
from limits.publishing import clients
from limits.store.ruleset_writer import RulesetWriter
from ratelimit_enforcer.domain.ruleset import Ruleset, Version, digest_of
from ratelimit_enforcer.store import scripts
from ratelimit_enforcer.store.keys import Keys
from ratelimit_platform.embedded.redis import free_port
from tests.admin.conftest import desk_of
from tests.end_to_end.conftest import redis
from tests.end_to_end.shop import policy, publish
from tests.package.conftest import knows_read_only_keys
from tests.package.environments import PROJECT, Environment, bare_environment
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.xdist_group("package"), pytest.mark.django_db(transaction=True)]

__all__ = ["redis"]

CONNECTIONS, WORKERS = 64, 3
QUOTA = 100
BEAT_SECONDS = 5

Ask = Callable[..., httpx.Response]


@pytest.fixture
def platform(redis: Redis) -> None:
    """Live rules with two plans; unregistered callers are on the first."""
    Plan.objects.create(slug="free", name="Free", is_default=True)
    Plan.objects.create(slug="pro", name="Pro")
    policy("free-all", (QUOTA, 3_600), (10**6, 86_400), plan="free")
    policy("pro-all", (QUOTA * 2, 3_600), plan="pro")
    publish()
    assert clients.load_all()


@pytest.fixture(scope="module")
def lasting_project(
    environment: Environment, shop_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """A server with several workers: its URL, and the path of the database, which it never uses."""
    port, database = free_port(), tmp_path_factory.mktemp("shop") / "shop.sqlite3"
    command = [
        *(environment.python, "-m", "granian", "--interface", "wsgi", "--no-ws", "--log-level", "warning"),
        *("--workers-kill-timeout", "6"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", str(WORKERS), "--blocking-threads", "4"),
        "shop.wsgi:application",
    ]
    variables = {"REDIS_URL": shop_url, "NAMESPACE": "rl", "DATABASE": str(database)}
    process = subprocess.Popen(command, cwd=PROJECT, env=bare_environment() | variables)
    try:
        wait_until(lambda: answers(process, f"http://127.0.0.1:{port}/nothing"))
        yield f"http://127.0.0.1:{port}", database
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def project(platform: None, lasting_project: tuple[str, Path]) -> tuple[str, Path]:
    """The server, with the rules of this test."""
    return lasting_project


def answers(process: "subprocess.Popen[bytes]", url: str) -> bool:
    assert process.poll() is None, "The server ended; its lines above say why."
    try:
        return httpx.get(url, timeout=10).status_code == 404
    except httpx.TransportError:
        return False


@pytest.fixture
def ask(project: tuple[str, Path]) -> Iterator[Ask]:
    # A full pool may close a connection in use: https://github.com/encode/httpcore/issues/1110.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    with httpx.Client(base_url=project[0], limits=limits, timeout=60) as http:
        yield lambda client="acme": http.get("/api/search", headers={"X-Key": client})


def parsed(field: str) -> list[tuple[str, dict[str, object]]]:
    items: Any = http_sf.parse(field.encode(), tltype="list")
    return [(str(item), dict(parameters)) for item, parameters in items]


def test_exactly_the_quota_is_admitted_over_64_connections_with_correct_headers(
    ask: Ask, project: tuple[str, Path]
) -> None:
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        responses = list(pool.map(lambda _: ask(), range(4 * QUOTA)))
    assert Counter(response.status_code for response in responses) == {200: QUOTA, 429: 3 * QUOTA}
    left = []
    for response in responses:
        assert parsed(response.headers["RateLimit-Policy"]) == [
            ("free-all:3600s", {"q": QUOTA, "w": 3_600}),
            ("free-all:86400s", {"q": 10**6, "w": 86_400}),
        ]
        # A denial lists only the denying limits.
        (name, standing), *others = parsed(response.headers["RateLimit"])
        assert name == "free-all:3600s"
        assert [other for other, _ in others] == (["free-all:86400s"] if response.status_code == 200 else [])
        assert 3_500 <= standing["t"] <= 3_600  # type: ignore[operator]
        assert ("Retry-After" in response.headers) == (response.status_code == 429)
        if response.status_code == 200:
            left.append(standing["r"])
    assert sorted(left) == list(range(QUOTA)), "Each admitted request was told another number."
    assert not project[1].exists(), "The project's database was never opened."


def test_a_plan_changed_in_the_admin_applies_to_the_next_request(ask: Ask) -> None:
    client = Client.objects.create(key="acme", plan=Plan.objects.get(slug="free"))
    assert clients.deliver(["acme"]).live
    desk = desk_of(User.objects.create_superuser("ada", "ada@example.com", "a password of Ada"))
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for slug in ("pro", "free", "pro"):
            desk.change(client, plan=str(Plan.objects.get(slug=slug).pk))
            told = pool.map(lambda _: ask().headers["RateLimit-Policy"], range(WORKERS * 4))
            assert {policy.partition(":")[0] for policy in told} == {f'"{slug}-all'}


def test_a_request_is_exactly_one_command_and_no_query(ask: Ask, project: tuple[str, Path], redis: Redis) -> None:
    keys = Keys("rl")
    wait_until(lambda: knock(project[0]).is_success and redis.hlen(keys.processes) == WORKERS)
    requests, began = 200, time.monotonic()
    with redis.monitor() as monitor:
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(lambda number: ask(f"client {number}"), range(requests)))
        redis.echo("the end")
        commands = [command for command in monitored(monitor) if not command.startswith(ON_CONNECTING)]
    decisions = [command for command in commands if scripts.load("decide").digest in command]
    heartbeats = [command for command in commands if scripts.load("heartbeat").digest in command]
    assert len(decisions) == requests
    assert len(commands) == len(decisions) + len(heartbeats)
    assert len(heartbeats) <= WORKERS * (1 + (time.monotonic() - began) / BEAT_SECONDS)
    assert not project[1].exists(), "The project's database was never opened."


def test_a_view_settles_its_reservation_and_places_are_freed(project: tuple[str, Path]) -> None:
    row = Policy.objects.create(slug="at-most")
    PolicyLimit.objects.create(policy=row, quota=2, window=60, algorithm="concurrency")
    publish()
    answers = [httpx.get(f"{project[0]}/export", headers={"X-Key": "acme"}, timeout=60) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200] * 4
    left = [dict(parsed(answer.headers["RateLimit"]))["free-all:3600s"]["r"] for answer in answers]
    assert left == [QUOTA - 50 - 3 * before for before in range(4)]


def knock(url: str) -> httpx.Response:
    """One request with a new connection, which any of the workers may accept."""
    return httpx.get(f"{url}/api/search", headers={"X-Key": secrets.token_hex(8)}, timeout=60)


ON_CONNECTING = ("HELLO", "CLIENT", "SELECT", "AUTH")


def monitored(monitor: Any) -> Iterator[str]:
    """The commands sent to Redis until the end marker, without those called by scripts."""
    for seen in monitor.listen():
        if seen["command"].startswith("ECHO"):
            return
        if seen["client_type"] != "lua":
            yield seen["command"]


def test_the_projects_user_cannot_publish(platform: None, shop_url: str, redis: Redis) -> None:
    data, keys = Ruleset().to_bytes(), Keys("rl")
    with Redis.from_url(shop_url) as user:
        with pytest.raises(NoPermissionError):
            RulesetWriter(user, keys).publish(Version("another", 99, digest_of(data)), data, lambda current: True)
        for command in (
            ["FLUSHDB"],
            ["KEYS", "*"],
            ["DEL", keys.pointer],
            ["CONFIG", "GET", "*"],
            ["SET", "other", "1"],
        ):
            with pytest.raises(NoPermissionError):
                user.execute_command(*command)
        if knows_read_only_keys(redis):
            for key in (keys.pointer, keys.ruleset("another:99:digest")):
                with pytest.raises(NoPermissionError):
                    user.set(key, "forged")
