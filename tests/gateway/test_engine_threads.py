"""The engine's thread: checks that wait are decided together, each with its own answer."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.engine_threads import EngineThreads, Result
from ratelimit_enforcer.domain.decision import CheckRequest, Decision
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Endpoint, Plan, Policy
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.engine import Engine
from tests.support.servers import Store

RULES = Ruleset(
    plans=(Plan("free", "Free"),),
    default_plan="free",
    endpoints=(Endpoint("search", "Search"),),
    policies=(Policy("search", (Limit(50, 3_600),), endpoint="search"),),
)


class Refused(Exception):
    """What the guard of a caller without a right raises."""


def nobody(ruleset: Ruleset) -> None:
    """Refuses."""
    raise Refused


def anybody(ruleset: Ruleset) -> None:
    """Accepts."""


@pytest.fixture
def engine(store: Store) -> Engine:
    store.publish(RULES)
    store.load()
    return store.engine()


def run(engine: Engine, use: Callable[[EngineThreads, asyncio.AbstractEventLoop], Coroutine[Any, Any, Any]]) -> Any:
    """Runs ``use`` in an event loop with a thread of the engine."""

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        thread = EngineThreads(engine, loop)
        try:
            return await use(thread, loop)
        finally:
            thread.stop()

    # Not asyncio.run: a browser test may have left a running loop in this thread.
    results: list[Any] = []
    runner = threading.Thread(target=lambda: results.append(asyncio.run(main())))
    runner.start()
    runner.join(30)
    return results[0]


async def decided(
    thread: EngineThreads,
    loop: asyncio.AbstractEventLoop,
    clients: list[str],
    guards: Any = (),
    *,
    consume: bool = True,
) -> list[Result]:
    """The results for a check of each client, submitted at once."""
    futures: list[asyncio.Future[Result]] = [loop.create_future() for _ in clients]
    for number, (client, future) in enumerate(zip(clients, futures, strict=True)):
        guard = guards[number] if guards else anybody
        thread.submit(CheckRequest(client, endpoint="search"), guard, consume, future.set_result)
    return list(await asyncio.gather(*futures))


def test_of_many_at_once_exactly_the_quota_is_admitted(engine: Engine) -> None:
    results = run(engine, lambda thread, loop: decided(thread, loop, ["ann"] * 300))

    assert [isinstance(each, Decision) and each.allowed for each in results].count(True) == 50


def test_each_check_has_its_own_answer(engine: Engine) -> None:
    clients = [f"client-{number % 7}" for number in range(60)]
    results = run(engine, lambda thread, loop: decided(thread, loop, clients))

    assert [each.client for each in results] == clients
    assert [each.leading.remaining for each in results] == [49 - number // 7 for number in range(60)]


def test_a_refused_caller_does_not_affect_others(engine: Engine) -> None:
    guards = [anybody, nobody] * 10
    results = run(engine, lambda thread, loop: decided(thread, loop, ["ann"] * 20, guards))

    assert [type(each) for each in results] == [Decision, Refused] * 10
    assert results[-2].leading.remaining == 40


def test_a_peek_consumes_nothing(engine: Engine) -> None:
    async def use(thread: EngineThreads, loop: asyncio.AbstractEventLoop) -> list[Result]:
        await decided(thread, loop, ["ann"] * 5, consume=False)
        return await decided(thread, loop, ["ann"])

    (last,) = run(engine, use)
    assert last.leading.remaining == 49


class HeldEngine:
    """An engine whose first call waits for ``released``; counts the checks of each call."""

    calls_at_once = 1

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.released = threading.Event()
        self.sizes: list[int] = []

    def check(self, check: CheckRequest, **options: Any) -> Decision:
        self.sizes.append(1)
        self.released.wait(10)
        return self._engine.check(check, **options)

    def check_in_order(self, checks: list[CheckRequest], **options: Any) -> list[Decision]:
        self.sizes.append(len(checks))
        return self._engine.check_in_order(checks, **options)


def test_checks_collect_while_a_call_is_in_progress(engine: Engine) -> None:
    held = HeldEngine(engine)

    async def use(_: EngineThreads, loop: asyncio.AbstractEventLoop) -> None:
        thread = EngineThreads(held, loop)  # type: ignore[arg-type]
        first = asyncio.ensure_future(decided(thread, loop, ["ann"]))
        while not held.sizes:
            await asyncio.sleep(0)
        others = asyncio.ensure_future(decided(thread, loop, [f"client-{number}" for number in range(150)]))
        await asyncio.sleep(0)
        held.released.set()
        await asyncio.gather(first, others)
        await loop.run_in_executor(None, thread.stop)

    run(engine, use)
    assert held.sizes == [1, 100, 50]


def test_after_stop_the_jobs_before_it_have_their_answers(engine: Engine) -> None:
    async def use(thread: EngineThreads, loop: asyncio.AbstractEventLoop) -> int:
        results: list[Result] = []
        for _ in range(30):
            thread.submit(CheckRequest("ann", endpoint="search"), anybody, True, results.append)
        await loop.run_in_executor(None, thread.stop)
        await asyncio.sleep(0)
        return len(results)

    assert run(engine, use) == 30
