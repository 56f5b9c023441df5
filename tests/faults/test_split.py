"""Requests interrupted between two masters of a Cluster: cost consumed by requests that were not admitted is
refunded within the stated time, whichever process or master is lost, and no quota is exceeded."""

import multiprocessing
import os
import signal
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from pytest_django import Settings

from limits.publishing.reconciler import reconcile
from tests.faults.injectors import Bound, require
from tests.faults.mode import LONG
from tests.faults.report import note
from tests.faults.running import Findings
from tests.support.lasting_clusters import LastingCluster
from tests.support.split import SHARED, SplitWorld, masters, own, shared
from tests.support.waiting import wait_until

__all__ = ["masters"]

pytestmark = [pytest.mark.xdist_group("split"), pytest.mark.django_db]

REFUNDED_WITHIN = 10.0
"""Seconds after the repair, or after the loss of the process, as stated in docs/operations.md."""

QUOTA = 20
REQUESTS = 30 if LONG else 8
DEADLINE = 1.0
"""The deadline of a check in seconds."""

HANGS = 0.3
"""A shorter deadline for tests in which it does no harm if a check does not even reach the first master."""

EVERY = 3.0
"""Seconds between two runs of the reconciler, as scheduled by beat."""


@pytest.fixture
def world(masters: LastingCluster, settings: Settings) -> SplitWorld:
    world = SplitWorld(masters.ready(), own(QUOTA), shared(QUOTA))
    place = {"REDIS": world.topology.url, "NAMESPACE": world.store.keys.namespace}
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | place
    return world


@dataclass
class Story:
    """The answers of one scenario, and the time until only the cost of admitted requests was consumed."""

    name: str
    admitted: int = 0
    degraded: int = 0
    requests: int = 0
    back: float = 0.0

    def ask(self, world: SplitWorld, deadline: float) -> None:
        answer = world.ask(world.engine(deadline))
        self.note(allowed=answer.allowed, degraded=answer.degraded)

    def note(self, *, allowed: bool, degraded: bool) -> None:
        self.requests += 1
        self.admitted += allowed
        self.degraded += degraded

    def wait_until_refunded(self, world: SplitWorld, since: float) -> None:
        """With a reconciler that runs as often as beat schedules it, and without checks meanwhile."""
        next_run = time.monotonic() + EVERY

        def is_refunded() -> bool:
            nonlocal next_run
            if time.monotonic() >= next_run:
                next_run = time.monotonic() + EVERY
                reconcile()
            return world.used() == (self.admitted, self.admitted)

        wait_until(is_refunded)
        self.back = time.monotonic() - since
        wait_until(lambda: reconcile().resolved == 0 and world.pending(SHARED) == 0)

    def use_up(self, world: SplitWorld) -> None:
        """Sends checks until the quota is exhausted: exactly the quota is admitted in total."""
        engine = world.engine(60)
        for _ in range(2 * QUOTA):
            answer = world.ask(engine)
            self.note(allowed=answer.allowed, degraded=answer.degraded)
        wait_until(lambda: world.used() == (QUOTA, QUOTA))

    def end(self) -> None:
        over = max(0, self.admitted - QUOTA)
        bound = Bound(back=REFUNDED_WITHIN)
        note(Findings("cluster", self.name, bound, self.requests, self.degraded, over, 0, 0, self.back, 0.0, 0))
        assert self.admitted == QUOTA
        assert not LONG or self.back <= REFUNDED_WITHIN


def test_the_clients_master_is_stopped_during_a_check(world: SplitWorld) -> None:
    """The client's master is stopped while the request is at the other one; commands sent to it run later."""
    story = Story("client's master stopped in a check")
    for _ in range(REQUESTS // 4):
        with world.between_parts(world.engine(DEADLINE)) as asked:
            world.ours.pause()
        answer = asked.result()
        require(answer.degraded, "The master answered.")
        story.note(allowed=answer.allowed, degraded=answer.degraded)
        world.ours.resume()
        wait_until(world.topology.is_whole)
    mended = time.monotonic()
    story.wait_until_refunded(world, mended)
    story.use_up(world)
    story.end()


def test_the_master_of_a_global_policy_is_stopped_during_a_check(world: SplitWorld) -> None:
    story = Story("global policy's master stopped in a check")
    engine = world.engine(HANGS)
    for _ in range(REQUESTS):
        world.theirs.pause()
        answer = world.ask(engine)
        require(answer.degraded, "The master answered.")
        story.note(allowed=answer.allowed, degraded=answer.degraded)
        # The client's part is refunded although the other master is still stopped.
        wait_until(lambda: world.pending(world.client) == 0)
        world.theirs.resume()
        wait_until(lambda: not world.ask(engine, consume=False).degraded)
    mended = time.monotonic()
    story.wait_until_refunded(world, mended)
    story.use_up(world)
    story.end()


def killed(does: Callable[[], object], when: Callable[[], bool]) -> None:
    """Runs ``does`` in a process, and kills the process as soon as ``when`` holds."""
    process = multiprocessing.get_context("fork").Process(target=does, daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    wait_until(when)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    require(process.exitcode == -signal.SIGKILL, "The process ended before.")


def test_a_process_is_killed_between_the_parts(world: SplitWorld) -> None:
    story = Story("process killed in a check")
    engine = world.engine(3 * DEADLINE)
    for _ in range(REQUESTS // 2):
        before = world.entries(world.client)
        world.theirs.pause()
        killed(lambda: world.ask(engine), lambda before=before: bool(world.entries(world.client) - before))  # type: ignore[misc]
        world.theirs.resume()
    lost = time.monotonic()
    require(world.pending(world.client) > 0, "Nothing was left.")
    story.wait_until_refunded(world, lost)
    story.use_up(world)
    story.end()


def test_a_process_is_killed_after_its_answer(world: SplitWorld) -> None:
    """Admitted requests stay consumed, although their entries were never confirmed."""
    story = Story("process killed after its answer")
    engine = world.engine(3 * DEADLINE)

    def ask_and_stay() -> None:
        """Confirms nothing, as if the process were killed just after the answer."""
        engine._decider._completer._is_running = True  # type: ignore[attr-defined]
        world.ask(engine)
        time.sleep(600)

    for number in range(3):
        killed(ask_and_stay, lambda number=number: world.counted()["a", ""] > number)  # type: ignore[misc]
        story.note(allowed=True, degraded=False)
    lost = time.monotonic()
    require(world.pending(SHARED) == 3, "It was confirmed.")
    story.wait_until_refunded(world, lost)
    story.use_up(world)
    story.end()
