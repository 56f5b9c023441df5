"""The threads of a gateway process, as the rate limit service uses them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from gateway.engine_thread import EngineThread, Job
from ratelimit_enforcer.domain.decision import CheckRequest, Decision
from ratelimit_enforcer.engine import Engine, Guard

POOL_THREADS = 8


class GatewayThreads:
    """Implements :class:`gateway.rls.transport.EngineThreads`: the engine thread for plain checks, a pool for requests
    of several descriptors and for those that adjust."""

    def __init__(self, engine: Engine, thread: EngineThread, loop: asyncio.AbstractEventLoop) -> None:
        self._engine = engine
        self._thread = thread
        self._loop = loop
        self._pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="rate-limits")

    @property
    def engine(self) -> Engine:
        """The engine of this process."""
        return self._engine

    def submit(
        self,
        check: CheckRequest,
        guard: Guard,
        consume: bool,
        done: Callable[[Decision | Exception], None],
        ends: float | None,
    ) -> None:
        """Decides one check in the engine thread."""
        self._thread.submit(Job(check, guard, consume, done, ends))

    def run(self, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Runs ``work`` in the pool."""

        def deliver(future: Future[Any]) -> None:
            with suppress(RuntimeError):  # The event loop has ended, and so has the call.
                self._loop.call_soon_threadsafe(done, future.exception() or future.result())

        self._pool.submit(work).add_done_callback(deliver)

    def close(self) -> None:
        """Waits for what runs in the pool."""
        self._pool.shutdown()
