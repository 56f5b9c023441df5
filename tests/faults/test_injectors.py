"""A fault without effect is detected; otherwise the fault tests would pass without a fault."""

from collections.abc import Callable

import pytest

from ratelimit_platform.embedded.redis import RedisServer, free_port
from tests.faults.injectors import (
    ClientKill,
    DeadLink,
    Emptied,
    FaultDidNotTake,
    Frozen,
    Full,
    KilledAndRestarted,
    PlannedFailover,
    ScriptFlush,
    SlowLink,
)
from tests.faults.proxy import Link
from tests.faults.world import SingleTopology, World


@pytest.fixture
def world(redis_server: Callable[..., RedisServer]) -> World:
    """A world with only a store, without web servers."""
    topology = SingleTopology.__new__(SingleTopology)
    topology.servers = [redis_server()]
    world = World.__new__(World)
    world.topology, world.servers = topology, [None, None]  # type: ignore[list-item]
    return world


def test_a_server_that_is_not_stopped(world: World) -> None:
    fault = Frozen(world)
    fault.inject()
    fault.mend()
    fault.timeout = 0.2
    with pytest.raises(FaultDidNotTake, match="still runs"):
        fault.prove()


def test_a_server_that_is_not_killed(world: World) -> None:
    fault = KilledAndRestarted(world)
    fault._killed, fault._pid = world.topology.servers[0], world.topology.servers[0].process.pid
    with pytest.raises(FaultDidNotTake, match="still runs"):
        fault.prove()


def test_a_server_that_has_already_restarted(world: World) -> None:
    fault = KilledAndRestarted(world)
    fault.inject()
    fault.mend()
    with pytest.raises(FaultDidNotTake, match="still answers"):
        fault.prove()


def test_a_store_with_free_memory(world: World) -> None:
    fault = Full(world)
    fault.inject()
    fault.prove()
    fault.mend()
    with pytest.raises(FaultDidNotTake, match="takes writes"):
        fault.prove()


def test_a_store_that_was_already_empty(world: World) -> None:
    fault = Emptied(world)
    fault.inject()
    with pytest.raises(FaultDidNotTake, match="not much"):
        fault.prove()


def test_a_store_without_scripts_or_connections(world: World) -> None:
    for fault in (ScriptFlush(world), ClientKill(world)):
        fault.inject()
        with pytest.raises(FaultDidNotTake):
            fault.prove()


def test_links_that_are_neither_slow_nor_dead(world: World) -> None:
    topology = world.topology
    assert isinstance(topology, SingleTopology)
    topology.link = Link(free_port(), topology.servers[0].port)
    try:
        for fault in (SlowLink(world), DeadLink(world)):
            with pytest.raises(FaultDidNotTake):
                fault.prove()
            fault.inject()
            fault.prove()
            fault.mend()
    finally:
        topology.link.stop()


def test_a_failover_that_does_not_happen(world: World) -> None:
    fault = PlannedFailover(world)
    fault._before = fault.masters
    fault.timeout = 0.2
    with pytest.raises(FaultDidNotTake, match="No other master"):
        fault.prove()
