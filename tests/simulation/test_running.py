"""Simulations from the start to the result: by a real worker, after a crash, and what they leave out."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from redis import Redis

from limits import tasks
from limits.domain.edits import edits_between
from limits.domain.states import state_of_data
from limits.models import ChangeSet, PolicyLimit, SimulatedClient, Simulation
from limits.publishing.rules import read_state
from limits.simulation import running
from limits.simulation.results import clients_of, exported_rows, newly_denied_clients, result_of
from limits.simulation.running import LeaseLost, run, start, unclaimed_simulations
from tests.models import rows
from tests.simulation.recorded import BEGIN, HOURS, MINUTE, record
from tests.support.celery import CeleryProcess
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS_OF_LEASE = 10


@pytest.fixture(autouse=True)
def usage(redis_url: str) -> None:
    """Live rules with 100 a minute, and two clients with 150 and 60 requests in a minute."""
    with Redis.from_url(redis_url) as redis:
        redis.flushall()
    rows.default_plan("free")
    rows.endpoint("search")
    PolicyLimit.objects.filter(policy=rows.policy("all", quota=100)).update(algorithm="fixed_window")
    record("busy", {"search": {MINUTE: 100, MINUTE + 1: 50, MINUTE + 7: 150}}, denied=10)
    record("calm", {"search": {MINUTE: 60}})


@pytest.fixture
def change_set() -> ChangeSet:
    """A draft that lowers the quota to 50."""
    return draft(quota=50)


def draft(**fields: object) -> ChangeSet:
    """A draft that changes these fields of the limit."""
    live = read_state()
    policies = [{**item, "limits": [*item["limits"].values()]} for item in live["policies"].values()]
    policies[0]["limits"] = [{**policies[0]["limits"][0], **fields}]
    data = {name: list(items.values()) for name, items in live.items()} | {"policies": policies}
    row = ChangeSet(name="tighter", author="ann")
    row.set_edits(edits_between(live, state_of_data(data)))
    row.save()
    return row


def done(row: Simulation) -> Simulation:
    run(row.pk)
    row.refresh_from_db()
    assert row.state == "done", row.problems
    return row


def test_a_worker_simulates_a_change(change_set: ChangeSet) -> None:
    worker = CeleryProcess("worker")
    try:
        row = start(change_set, BEGIN, BEGIN + HOURS, "ann")
        wait_until(lambda: Simulation.objects.filter(pk=row.pk, state="done").exists())
    finally:
        worker.stop()
    row.refresh_from_db()
    assert (row.progress, row.problems, row.leased_until) == (100, [], None)
    result = result_of(row)
    assert result is not None
    assert result.everything.requests == 360
    assert (result.everything.before, result.everything.after) == ((50, 50), (160, 160))
    assert (result.everything.clients_before, result.everything.clients_after) == ((1, 1), (2, 2))
    assert [total.name for total in result.plans] == ["free"]
    assert [(total.name, total.requests, total.after) for total in result.endpoints] == [("search", 360, (160, 160))]
    assert [(total.name, total.before, total.after) for total in result.policies] == [("all", (50, 50), (160, 160))]


def test_who_is_hit_that_was_not_before(change_set: ChangeSet) -> None:
    row = done(start(change_set, BEGIN, BEGIN + HOURS, "ann"))
    assert [client.client_key for client in clients_of(row)] == ["busy", "calm"]
    assert [(client.client_key, client.after_least) for client in newly_denied_clients(row)] == [("calm", 10)]
    exported = list(exported_rows(row, only_newly_denied=True))
    assert exported[0][0] == "client"
    assert ("calm", "free", "(all)", "(all)", "60", "0", "0", "10", "10") in exported
    assert ("calm", "free", "search", "(all)", "60", "0", "0", "10", "10") in exported
    assert {line[0] for line in exported[1:]} == {"calm"}
    assert {line[0] for line in exported_rows(row)} == {"client", "busy", "calm"}


def test_only_the_chosen_time_counts(change_set: ChangeSet) -> None:
    row = done(start(change_set, BEGIN + timedelta(minutes=1, seconds=30), BEGIN + timedelta(minutes=2), "ann"))
    assert row.totals["all"]["requests"] == 50
    assert not row.clients.exists()


def test_a_time_that_ends_before_it_begins_is_refused(change_set: ChangeSet) -> None:
    with pytest.raises(ValidationError, match="The end is not after the beginning"):
        start(change_set, BEGIN, BEGIN, "ann")


def test_a_simulation_of_a_killed_worker_is_repeated(change_set: ChangeSet) -> None:
    row = start(change_set, BEGIN, BEGIN + HOURS, "ann")
    rows.simulated_client(row, "left over")
    Simulation.objects.update(state="running", leased_until=timezone.now() + timedelta(seconds=SECONDS_OF_LEASE))
    assert unclaimed_simulations() == []
    run(row.pk)
    assert Simulation.objects.get().state == "running"
    Simulation.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert unclaimed_simulations() == [row.pk]
    tasks.simulate(row.pk)
    assert Simulation.objects.get().state == "done"
    assert set(SimulatedClient.objects.values_list("client_key", flat=True)) == {"busy", "calm"}


def test_a_simulation_that_repeatedly_kills_its_workers_fails(change_set: ChangeSet) -> None:
    row = start(change_set, BEGIN, BEGIN + HOURS, "ann")
    earlier = timezone.now() - timedelta(seconds=1)
    Simulation.objects.update(state="running", leased_until=earlier, interruptions=running.MAX_INTERRUPTIONS)
    run(row.pk)
    row.refresh_from_db()
    assert (row.state, row.problems) == ("failed", ["The simulation was interrupted 3 times."])
    assert result_of(row) is None


def test_a_process_that_lost_its_lease_stores_nothing(change_set: ChangeSet, monkeypatch: pytest.MonkeyPatch) -> None:
    row = start(change_set, BEGIN, BEGIN + HOURS, "ann")
    claimed = running._claimed(row.pk)
    assert claimed is not None
    Simulation.objects.update(leased_until=timezone.now() + timedelta(minutes=9))
    with pytest.raises(LeaseLost):
        running._simulate(claimed)
    assert not SimulatedClient.objects.exists()


def test_an_unexpected_error_ends_a_simulation(change_set: ChangeSet) -> None:
    """Edits as in a database of another release."""
    row = start(change_set, BEGIN, BEGIN + HOURS, "ann")
    Simulation.objects.update(edits=[{"path": ["policies", "all", "mode"], "before": None, "after": 7}])
    run(row.pk)
    row.refresh_from_db()
    assert (row.state, row.leased_until) == ("failed", None)
    assert "unexpected error" in row.problems[0]


def test_a_simulation_is_outdated_after_further_edits(change_set: ChangeSet) -> None:
    row = start(change_set, BEGIN, BEGIN + HOURS, "ann")
    assert not row.is_outdated
    change_set.set_edits([])
    row.change_set = change_set
    assert row.is_outdated


def test_what_is_left_out_is_named(change_set: ChangeSet) -> None:
    rows.policy("by-model", endpoint=None, attributes=["model"])
    rows.policy("everyone", partition="global")
    parent = rows.client("parent")
    rows.client("child", parent=parent)
    rows.client("vip", status="exempt")
    for client in ("", "child", "parent", "vip"):
        record(client, {"search": {MINUTE: 200}})
    record("costly", {"search": {MINUTE: 200}}, cost=3)
    row = done(start(change_set, BEGIN, BEGIN + HOURS, "ann"))
    assert row.problems == [
        "Policy by-model is left out: it counts values of attributes separately.",
        "Policy everyone is left out: it does not count each client separately.",
        "400 requests of 2 clients are left out: clients that have a parent or are one.",
        "200 requests of 1 client are left out: exempt now.",
        "200 requests of 1 client had other costs than 1: limits that count them are left out.",
        "200 requests of “(other)” are left out: the callers were counted together.",
    ]
    assert {client.client_key for client in clients_of(row)} == {"busy", "calm"}


def test_clients_with_grants_are_left_out(change_set: ChangeSet) -> None:
    rows.grant(rows.client("granted"), rows.monthly_policy())
    record("granted", {"search": {MINUTE: 200}})
    row = done(start(change_set, BEGIN, BEGIN + HOURS, "ann"))
    assert row.problems == ["200 requests of 1 client are left out: clients with grants."]
    assert {client.client_key for client in clients_of(row)} == {"busy", "calm"}


def test_an_edit_that_conflicts_with_the_live_rules_is_named(change_set: ChangeSet) -> None:
    PolicyLimit.objects.update(quota=80)
    row = done(start(change_set, BEGIN, BEGIN + HOURS, "ann"))
    assert row.problems == [
        "An edit of policies all limits 60s-fixed quota was left out, because it conflicts with the live rules."
    ]
