"""Login: rate limits, concurrency, and log entries."""

import json
import os
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher, check_password, identify_hasher, make_password
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings
from structlog.testing import capture_logs

from limits.admin import login as login_page
from limits.admin.login import LocalLogs, local_logs
from ratelimit_enforcer.domain.rate import Rate
from ratelimit_platform import password_hashers
from ratelimit_platform.embedded.redis import free_port
from ratelimit_platform.password_hashers import NICENESS, BackgroundPBKDF2PasswordHasher

PASSWORD = "a password of Ada"


@pytest.fixture(autouse=True)
def rates(settings: Settings, redis_url: str) -> None:
    settings.RATELIMIT_PLATFORM = {
        "REDIS": redis_url,
        "NAMESPACE": f"login-{secrets.token_hex(4)}",
        "CHECK_DEADLINE": 10,
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.LOGIN_RATES = {"address": "5/10m", "name": "8/10m"}


@pytest.fixture
def ada(rates: None, db: None) -> User:
    return User.objects.create_superuser("ada", password=PASSWORD)


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


def attempt(name: str, password: str, address: str = "192.0.2.7") -> Any:
    """One login attempt with a new session."""
    return Client(REMOTE_ADDR=address).post("/admin/login/", {"username": name, "password": password})


@pytest.mark.usefixtures("ada")
def test_failed_logins_from_one_address_are_limited(logs: list[Any]) -> None:
    answers = [attempt("ada", f"guess {number}") for number in range(8)] + [attempt("ada", PASSWORD)]

    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 4
    assert 590 <= int(answers[-1]["Retry-After"]) <= 600
    assert "Too many login attempts. Try again in 10 minutes." in answers[-1].content.decode()
    assert attempt("ada", PASSWORD, "192.0.2.8").status_code == 302
    assert [line["event"] for line in logs] == ["login_failed"] * 5 + ["login_limited"] * 4


@pytest.mark.usefixtures("ada")
def test_failed_logins_for_one_name_from_many_addresses_are_limited() -> None:
    spellings = ("ada", "Ada", " ada ", "ADA")
    answers = [attempt(spellings[at % 4], "wrong", f"192.0.2.{at}") for at in range(12)]

    assert [answer.status_code for answer in answers] == [200] * 8 + [429] * 4
    assert attempt("ben", "wrong", "192.0.2.1").status_code == 200


@pytest.mark.usefixtures("ada")
def test_attempts_denied_by_address_do_not_count_for_the_name() -> None:
    for _ in range(30):
        attempt("ada", "wrong")
    assert attempt("ada", PASSWORD, "192.0.2.8").status_code == 302


@pytest.mark.usefixtures("ada")
def test_addresses_of_one_ipv6_subnet_are_limited_together(settings: Settings) -> None:
    statuses = [attempt(f"n{at}", "wrong", f"2001:db8:1:2::{at}").status_code for at in range(7)]
    assert statuses == [200] * 5 + [429] * 2


@pytest.mark.usefixtures("ada")
def test_a_form_without_name_or_password_is_not_counted() -> None:
    statuses = {attempt("ada", "").status_code for _ in range(20)} | {attempt("", "x").status_code for _ in range(20)}
    assert statuses == {200}
    assert attempt("ada", PASSWORD).status_code == 302


@pytest.mark.usefixtures("ada")
def test_without_redis_the_process_limits_by_itself(settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {
        "REDIS": f"redis://127.0.0.1:{free_port()}",
        "CHECK_DEADLINE": 0.1,
    }
    local_logs._logs.clear()
    assert [attempt("ada", "wrong").status_code for _ in range(7)] == [200] * 5 + [429] * 2
    assert attempt("ada", PASSWORD, "192.0.2.8").status_code == 302
    local_logs._logs.clear()


def test_local_logs_are_bounded() -> None:
    logs = LocalLogs(size=3)
    assert logs.wait("a", Rate(1, 60)) is None
    assert 0 < (logs.wait("a", Rate(1, 60)) or 0) <= 60
    assert [logs.wait(name, Rate(1, 60)) for name in "bcd"] == [None] * 3
    assert logs.wait("a", Rate(1, 60)) is None  # The oldest log was dropped.
    assert logs.wait("none", Rate(0, 60)) == 60


@pytest.mark.usefixtures("ada")
def test_the_log_contains_no_password_and_no_unknown_name(logs: list[Any]) -> None:
    attempt("ada", "typed password")
    attempt(PASSWORD, "typed password")

    assert "typed" not in json.dumps(logs)
    assert PASSWORD not in json.dumps(logs)
    assert [{key: line.get(key) for key in ("event", "address", "known_user", "user")} for line in logs] == [
        {"event": "login_failed", "address": "192.0.2.7", "known_user": True, "user": "ada"},
        {"event": "login_failed", "address": "192.0.2.7", "known_user": False, "user": None},
    ]


@pytest.mark.usefixtures("ada")
def test_the_number_of_simultaneous_logins_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_page, "_slots", threading.BoundedSemaphore(1))
    with login_page._slots:
        busy = [attempt("ada", PASSWORD) for _ in range(20)]
    assert {(answer.status_code, answer["Retry-After"]) for answer in busy} == {(429, "2")}
    assert "Too many simultaneous logins." in busy[0].content.decode()
    assert attempt("ada", PASSWORD).status_code == 302  # The rejected attempts did not count.


def test_passwords_are_hashed_one_at_a_time_with_low_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most, niceness = [0], [0], set()

    def encode(self: Any, password: str, salt: Any, iterations: int | None = None) -> str:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        niceness.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        started.wait(0.05)
        inside[0] -= 1
        return "hash"

    started = threading.Event()
    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", encode)
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    with ThreadPoolExecutor(8) as pool:
        hashes = list(pool.map(lambda _: BackgroundPBKDF2PasswordHasher().encode("x", "salt"), range(8)))

    assert (hashes, most[0], niceness) == (["hash"] * 8, 1, {NICENESS})
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own


def test_hashes_are_compatible_with_django(settings: Settings) -> None:
    from ratelimit_platform.settings import PASSWORD_HASHERS

    settings.PASSWORD_HASHERS = PASSWORD_HASHERS
    theirs = PBKDF2PasswordHasher().encode("secret", "salt" * 6)
    assert isinstance(identify_hasher(theirs), password_hashers.BackgroundPBKDF2PasswordHasher)
    assert check_password("secret", theirs)
    assert not check_password("Secret", theirs)
    assert make_password("secret", "salt" * 6) == theirs
