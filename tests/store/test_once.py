"""Per-process objects are created once, even if many threads request them simultaneously for the first time."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.utils.module_loading import import_string
from pytest_django import Settings

from limits.monitoring.prometheus import instruments
from limits.store import advice, client
from limits.store.advice import advisor
from limits.store.client import control_client
from ratelimit_enforcer import caching
from ratelimit_enforcer.caching import ConnectionFactory
from ratelimit_enforcer.conf import once_per_settings
from ratelimit_enforcer.engine import get_engine
from ratelimit_enforcer.per_process import once, reset_once
from ratelimit_enforcer.store.connections.factory import store_connections

THREADS = 8


def first_calls(function: Callable[[], Any]) -> list[Any]:
    """The results of threads that call the function simultaneously."""
    barrier = threading.Barrier(THREADS)

    def call(_: int) -> Any:
        barrier.wait()
        return function()

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(call, range(THREADS)))


def slowed(made: list[object]) -> object:
    """Gives the other threads time to call the function meanwhile."""
    time.sleep(0.01)
    made.append(object())
    return made[-1]


@pytest.mark.parametrize("decorate", [once, once_per_settings])
def test_simultaneous_first_calls_return_one_value(decorate: Callable[..., Callable[[], object]]) -> None:
    made: list[object] = []
    function = decorate(lambda: slowed(made))
    assert len(set(map(id, first_calls(function)))) == len(made) == 1


def test_different_arguments_have_different_values() -> None:
    made: list[object] = []
    function = once(lambda name: (name, slowed(made)))
    assert function("a") is function("a")
    assert function("a") is not function("b")
    first = function("a")
    reset_once(function)
    assert function("a") is not first


def test_an_exception_is_not_cached() -> None:
    answers = iter([ValueError("not yet"), "now"])

    def answer() -> str:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    function = once(answer)
    with pytest.raises(ValueError, match="not yet"):
        function()
    assert function() == "now"


def _cache_client() -> object:
    return ConnectionFactory({}).connect("redis+sentinel://127.0.0.1:1/mymaster/0")


SINGLETONS: dict[str, tuple[Callable[[], object], str]] = {
    "engine": (get_engine, "ratelimit_enforcer.engine.factory.make_engine"),
    "store connections": (store_connections, "ratelimit_enforcer.store.connections.factory.store_connections_of"),
    "config plane's client": (control_client, "limits.store.client.control_client_of"),
    "advisor": (advisor, "limits.store.advice.Advisor"),
    "cache client": (_cache_client, "ratelimit_enforcer.caching.Redis"),
    "metrics": (instruments, "limits.monitoring.prometheus.Instruments"),
}


@pytest.mark.parametrize("name", SINGLETONS)
def test_per_process_objects_are_created_once(name: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    get, maker = SINGLETONS[name]
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"NAMESPACE": "once"}
    functions = [client._control_client, caching._client, advice._advisor, instruments]
    for function in functions:
        reset_once(function)
    make = import_string(maker)

    def slow(*arguments: Any, **named: Any) -> Any:
        time.sleep(0.01)  # Not a wait for an event: gives the other threads time to call it.
        return make(*arguments, **named)

    monkeypatch.setattr(maker, slow)
    assert len(set(map(id, first_calls(get)))) == 1
    for function in functions:
        reset_once(function)
