"""Work after the answer to a check: prompt, batched, bounded, and retried while a master is unavailable."""

import gc
import secrets
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.usage import Count
from ratelimit_enforcer.store import completer as module
from ratelimit_enforcer.store import scripts
from ratelimit_enforcer.store.completer import Completer, Confirmation, InDoubt, Refund
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreUnavailable
from ratelimit_enforcer.store.pending import Consumption, PendingEntries, Usage
from tests.support.deciding import Desk, policy
from tests.support.forking import holds_in_child
from tests.support.waiting import wait_until

RULES = [policy("own", Limit(100, 3_600))]
WITHIN = Deadline(10**6)


class Master:
    """The connections to a master; can be cut. Records the digests of the called scripts."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.is_unavailable = False
        self.calls: list[str] = []

    def execute(self, *command: Any, key: str, deadline: Deadline) -> Any:
        self.calls.append(command[1])
        if self.is_unavailable:
            raise StoreUnavailable("cut")
        return self.desk.connections.execute(*command, key=key, deadline=deadline)


@pytest.fixture
def desk(redis_url: str) -> Iterator[Desk]:
    """With the server's clock, and a separate namespace for each test."""
    desk = Desk(redis_url, f"test-{secrets.token_hex(4)}", clock=False)
    yield desk
    desk.close()


@pytest.fixture
def master(desk: Desk) -> Master:
    return Master(desk)


@pytest.fixture
def completer(master: Master) -> Completer:
    return Completer(PendingEntries(master, master.desk.keys, 128))  # type: ignore[arg-type]


def consumed(desk: Desk, client: str = "ann", timeout: float = 600) -> Consumption:
    found = desk.consume(desk.request(client, RULES), timeout=timeout)
    assert found
    return found


def used(desk: Desk, client: str = "ann") -> int:
    return desk.check(client, RULES, consume=False).readings[0][1]


def pending(desk: Desk, client: str = "ann") -> int:
    return int(desk.redis.hlen(desk.keys.pending[desk.shard(client)][1]))


def test_refunds_are_sent_immediately(desk: Desk, completer: Completer) -> None:
    completer.add([Refund(consumed(desk)) for _ in range(3)])
    wait_until(lambda: used(desk) == 0)


def test_a_refund_is_retried_until_the_master_is_available(desk: Desk, completer: Completer, master: Master) -> None:
    master.is_unavailable = True
    completer.add([Refund(consumed(desk)), Refund(consumed(desk))])
    wait_until(lambda: len(master.calls) >= 3)
    assert used(desk) == 2
    master.is_unavailable = False
    wait_until(lambda: used(desk) == 0)


def test_an_unavailable_master_is_called_once_per_round(desk: Desk, master: Master) -> None:
    completer = Completer(PendingEntries(master, desk.keys, 128))  # type: ignore[arg-type]
    completer._is_running = True
    completer.add([Refund(consumed(desk)) for _ in range(20)])
    master.is_unavailable = True
    assert completer.work() is False
    assert len(master.calls) == 1
    master.is_unavailable = False
    assert completer.work() is True
    assert used(desk) == 0


def test_confirmations_are_batched_into_one_call_per_shard(desk: Desk, master: Master) -> None:
    completer = Completer(PendingEntries(master, desk.keys, 128))  # type: ignore[arg-type]
    completer._is_running = True
    homes = [consumed(desk) for _ in range(20)]
    parts = [consumed(desk, "everyone") for _ in homes]
    usage = Usage("ann", "search", [Count("a", "", 1)])
    for home in homes:
        assert PendingEntries(desk.connections, desk.keys, 128).commit(home, usage, WITHIN)
    desk.redis.script_load(scripts.load("confirm").source)
    completer.add(Confirmation(home, (part,)) for home, part in zip(homes, parts, strict=True))
    completer._confirm_at = 0.0
    assert completer.work() is True
    # One for the parts, one for the records of the commits.
    assert len(master.calls) == 2
    assert (used(desk), used(desk, "everyone")) == (20, 20)
    assert (pending(desk), pending(desk, "everyone")) == (0, 0)
    assert not desk.redis.exists(desk.keys.committed[desk.shard("ann")])


def test_the_record_of_a_commit_stays_until_its_parts_are_confirmed(desk: Desk, master: Master) -> None:
    completer = Completer(PendingEntries(master, desk.keys, 128))  # type: ignore[arg-type]
    completer._is_running = True
    home, part = consumed(desk), consumed(desk, "everyone")
    PendingEntries(desk.connections, desk.keys, 128).commit(home, Usage("ann", None, []), WITHIN)
    completer.add([Confirmation(home, (part,))])
    master.is_unavailable, completer._confirm_at = True, 0.0
    assert completer.work() is False
    assert desk.redis.zcard(desk.keys.committed[desk.shard("ann")]) == 1
    master.is_unavailable, completer._confirm_at = False, 0.0
    assert completer.work() is True
    assert not desk.redis.exists(desk.keys.committed[desk.shard("ann")])


@pytest.mark.parametrize("committed", [True, False])
def test_a_request_in_doubt_is_confirmed_or_refunded(desk: Desk, completer: Completer, committed: bool) -> None:
    home, part = consumed(desk, timeout=600 if committed else 0.05), consumed(desk, "everyone")
    if committed:
        PendingEntries(desk.connections, desk.keys, 128).commit(home, Usage("ann", None, []), WITHIN)
    completer.add([InDoubt(home, (part,))])
    wait_until(lambda: pending(desk) + pending(desk, "everyone") == 0)
    assert (used(desk), used(desk, "everyone")) == ((1, 1) if committed else (0, 0))


def test_an_overdue_entry_is_resolved_after_a_check_met_it(desk: Desk, completer: Completer) -> None:
    consumed(desk, timeout=0.001)
    wait_until(lambda: desk.consume(desk.request("ann", RULES)) is not None and bool(desk.overdue))
    before = used(desk)
    completer.resolve(desk.shard("ann"))
    wait_until(lambda: used(desk) < before)


def test_the_queue_is_bounded(desk: Desk, master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_JOBS", 5)
    completer = Completer(PendingEntries(master, desk.keys, 128))  # type: ignore[arg-type]
    completer._is_running = True
    completer.add([Refund(consumed(desk)) for _ in range(9)])
    assert completer.work() is True
    assert used(desk) == 4


def test_an_internal_error_is_logged_and_affects_only_its_job(
    desk: Desk, completer: Completer, caplog: pytest.LogCaptureFixture
) -> None:
    broken = consumed(desk)._replace(counters=("other",))
    completer.add([Refund(broken), Refund(consumed(desk, "bob"))])
    wait_until(lambda: used(desk, "bob") == 0)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["completion_failed"]


def test_an_idle_thread_ends_and_the_next_job_starts_another(
    desk: Desk, completer: Completer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_TIMEOUT", 0.01)
    for _ in range(3):
        completer.add([Refund(consumed(desk))])
        wait_until(lambda: used(desk) == 0 and not completer._is_running)


def test_the_thread_keeps_no_reference_to_an_unused_completer(
    desk: Desk, master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_TIMEOUT", 0.05)
    before = set(threading.enumerate())
    completer = Completer(PendingEntries(master, desk.keys, 128))  # type: ignore[arg-type]
    completer.add([Refund(consumed(desk))])
    # On a busy machine the thread may have ended already.
    started = set(threading.enumerate()) - before
    wait_until(lambda: used(desk) == 0)
    reference = weakref.ref(completer)
    del completer

    def is_gone() -> bool:
        gc.collect()
        return reference() is None

    wait_until(is_gone)
    wait_until(lambda: not any(thread.is_alive() for thread in started))


def test_a_forked_child_does_not_inherit_jobs(desk: Desk, completer: Completer, master: Master) -> None:
    master.is_unavailable = True
    completer.add([Refund(consumed(desk))])
    with completer._changed:
        # In the child the lock is held, and the thread does not exist.
        assert holds_in_child(lambda: _works_in_child(completer, master))
    master.is_unavailable = False
    wait_until(lambda: used(desk) == 0)


def _works_in_child(completer: Completer, master: Master) -> bool:
    if completer._urgent or completer._is_running:
        return False
    master.is_unavailable = False
    home = consumed(master.desk, "child")
    completer.add([Refund(home)])
    wait_until(lambda: pending(master.desk, "child") == 0)
    return pending(master.desk) == 1
