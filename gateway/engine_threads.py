"""The threads in which the engine works for an event loop.

One thread takes every check that waits and decides all of them in one call of the store. A check that arrives alone
waits for no other: while a call is in progress, checks collect, and otherwise the next call begins at once. So the
engine keeps its blocking connection, its deadline and its breaker, and the event loop never waits for the store.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from types import MappingProxyType
from typing import Any, NamedTuple

from ratelimit_enforcer import telemetry
from ratelimit_enforcer.domain.decision import CheckRequest, Decision
from ratelimit_enforcer.engine import Engine, Guard

MAX_BATCH = 100
"""Checks that one call of the store decides."""
POOL_THREADS = 8
"""Calls other than single checks at the same time."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

Result = Decision | Exception
Done = Callable[[Result], None]

logger = logging.getLogger(__name__)


class Job(NamedTuple):
    """A check that waits for a call of the engine (:meth:`EngineThreads.submit`)."""

    check: CheckRequest
    guard: Guard
    consume: bool
    done: Done
    ends: float | None = None


class EngineThreads:
    """Decides single checks in one thread where a single call can decide any checks, and in several on a Cluster, where
    each call goes to one master, so that a master that does not respond delays only the checks that it decides. Other
    work runs in a pool."""

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self.engine = engine
        self._loop = loop
        self._telemetry = telemetry.started
        self._pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="call")
        threads = engine.calls_at_once
        self._arrived: list[Job] = []
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._max_batch = MAX_BATCH if threads == 1 else 1
        self._threads = [
            threading.Thread(target=self._run, name=f"engine-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(
        self,
        check: CheckRequest,
        guard: Guard,
        consume: bool,
        done: Done,
        ends: float | None = None,
        /,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        """Decides one check, with others that wait. ``guard`` is called with the ruleset that decides; checks with
        equal guards share a call. ``done`` is called in the event loop, with the decision or with the exception that
        the engine or the guard raised. ``ends``: when the caller needs the answer (``time.monotonic()``), if that is
        sooner than the engine's own deadline allows. ``headers`` may name the trace that the check belongs to."""
        if self._telemetry is not None and consume:
            done = self._telemetry.answering(headers, done)
        if not self._arrived:
            self._loop.call_soon(self._hand_over)
        self._arrived.append(Job(check, guard, consume, done, ends))

    def _hand_over(self) -> None:
        """Once for all checks that arrived in one turn of the event loop, so that they share a call."""
        arrived, self._arrived = self._arrived, []
        for job in arrived:
            self._jobs.put(job)

    def run(
        self, work: Callable[[], Any], done: Callable[[Any], None], /, headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        """Runs any other work in a thread of the pool. ``done`` is called in the event loop, with the result or with
        the exception. ``headers``: as for :meth:`submit`."""
        if self._telemetry is not None:
            work = self._telemetry.within(headers, work)

        def run() -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - it belongs to the caller
                result = error
            self._loop.call_soon_threadsafe(done, result)

        self._pool.submit(run)

    def stop(self) -> None:
        """Ends the threads after the work submitted before, and waits for them. The event loop still has to run once
        more to deliver the last results."""
        self._hand_over()
        self._pool.shutdown()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _run(self) -> None:
        if self._telemetry is not None:
            self._telemetry.leave_spans_to_callers()
        while (first := self._jobs.get()) is not None:
            jobs, ends = self._waiting(first)
            results = [pair for group in _by_call(jobs) for pair in self._decide(group)]
            self._loop.call_soon_threadsafe(_deliver, results)
            if ends:
                return

    def _waiting(self, first: Job) -> tuple[list[Job], bool]:
        """The jobs that wait, ``first`` among them, and whether the thread is to end after them."""
        jobs = [first]
        while len(jobs) < self._max_batch:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                break
            if job is None:
                return jobs, True
            jobs.append(job)
        return jobs, False

    def _decide(self, jobs: Sequence[Job]) -> Iterable[tuple[Done, Result]]:
        try:
            decisions = self._decisions(jobs)
        except Exception as error:  # noqa: BLE001 - it belongs to the callers, not to the thread
            return [(job.done, error) for job in jobs]
        return zip([job.done for job in jobs], decisions, strict=True)

    def _decisions(self, jobs: Sequence[Job]) -> Sequence[Decision]:
        """One call waits as long as the longest deadline in it allows."""
        first = jobs[0]
        ends = [job.ends for job in jobs if job.ends is not None]
        seconds = max(max(ends) - time.monotonic(), 0.0) if ends else None
        if len(jobs) == 1:
            return [self.engine.check(first.check, consume=first.consume, guard=first.guard, deadline=seconds)]
        checks = [job.check for job in jobs]
        return self.engine.check_in_order(checks, consume=first.consume, guard=first.guard, deadline=seconds)


def _by_call(jobs: Sequence[Job]) -> Iterable[Sequence[Job]]:
    """The jobs in groups that one call decides, each in order of arrival."""
    if len(jobs) == 1:
        return [jobs]
    groups: dict[tuple[Guard, bool, bool], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.guard, job.consume, job.ends is None), []).append(job)
    return groups.values()


def _deliver(results: Iterable[tuple[Done, Result]]) -> None:
    for done, result in results:
        try:
            done(result)
        except Exception:
            logger.exception("A decision could not be delivered.")
