"""The faults. Each verifies that it has taken effect, because a test without a fault would always pass."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import psutil
from redis import Redis, exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from ratelimit_enforcer.store.keys import SHARDS
from ratelimit_platform.embedded.redis import RedisServer
from tests.faults.mode import LONG
from tests.faults.proxy import Link
from tests.faults.world import QUOTA, SingleTopology, World
from tests.support.topologies import ClusterTopology, SentinelTopology
from tests.support.waiting import wait_until


class FaultDidNotTake(AssertionError):
    """The fault had no effect."""


def require(taken: bool, what: str) -> None:
    """Raises :class:`FaultDidNotTake` unless ``taken``."""
    if not taken:
        raise FaultDidNotTake(what)


def require_soon(taken: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """The same for an effect that takes some time; waits at most ``seconds``."""
    end = time.monotonic() + seconds
    while not taken():
        require(time.monotonic() < end, what)
        time.sleep(0.01)


@dataclass(frozen=True)
class Bound:
    """The bounds in ``docs/operations.md`` for a fault. ``over``: requests above the quota in a window of a
    policy that denies while the store is unavailable; ``back`` and ``stale``: seconds from the repair until the
    shared counters decide again, and until the last decision by old rules; ``loses_counts``: whether counts
    may be lost."""

    over: int = 0
    back: float = 3.0
    stale: float = 0.0
    loses_counts: bool = False


class Fault(ABC):
    """One fault of a store."""

    name: str
    bound = Bound()
    timeout = 20.0
    """Seconds within which the fault has to take effect."""

    def __init__(self, world: World) -> None:
        self.world = world

    @property
    def masters(self) -> list[RedisServer]:
        return self.world.topology.masters

    @abstractmethod
    def inject(self) -> None:
        """Injects the fault."""

    @abstractmethod
    def prove(self) -> None:
        """Raises :class:`FaultDidNotTake` if the fault had no effect."""

    def mend(self) -> None:
        """Repairs the store, or waits until it has recovered by itself."""
        return

    def clear(self) -> None:
        """Restores the initial state of the store for the next fault."""
        return


class ScriptFlush(Fault):
    name = "SCRIPT FLUSH"

    def inject(self) -> None:
        self._before = self._scripts()
        for master in self.masters:
            with master.client as client:
                client.script_flush()
                self._after = _flushes(client)

    def prove(self) -> None:
        require(self._before > 0, "No script was there to be forgotten.")
        require(self._after > 0, "SCRIPT FLUSH was not carried out.")

    def _scripts(self) -> int:
        with self.masters[0].client as client:
            return int(client.info("memory")["number_of_cached_scripts"])


def _flushes(client: Redis) -> int:
    """The number of calls of SCRIPT; since Redis 7 each subcommand has a separate count."""
    calls = client.info("commandstats")
    return sum(int(calls.get(name, {}).get("calls", 0)) for name in ("cmdstat_script", "cmdstat_script|flush"))


class ClientKill(Fault):
    name = "CLIENT KILL"

    def inject(self) -> None:
        self._killed = 0
        for master in self.masters:
            with master.client as client:
                self._killed += client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def prove(self) -> None:
        require(self._killed >= len(self.world.servers), "There were no connections to kill.")


class Frozen(Fault):
    """SIGSTOP: connections stay open, and nothing is answered."""

    name = "SIGSTOP"
    bound = Bound(back=3.0)

    def inject(self) -> None:
        self._frozen = self.masters[0]
        self._frozen.pause()

    def prove(self) -> None:
        process = psutil.Process(self._frozen.process.pid)
        require_soon(lambda: process.status() == psutil.STATUS_STOPPED, "The server still runs.", self.timeout)
        require(not _answers(self._frozen), "The server still answers.")

    def mend(self) -> None:
        """Returns after the commands that arrived while the server was stopped have run."""
        self._frozen.resume()
        require_soon(lambda: _answers(self._frozen), "The server does not answer.", self.timeout)


def _answers(server: RedisServer) -> bool:
    try:
        return bool(_asked_once(server.port, 0.1).ping())
    except (exceptions.TimeoutError, exceptions.ConnectionError):
        return False


def _asked_once(port: int, timeout: float) -> Redis:
    """A client without retries, which would take ten times as long and prove no more."""
    return Redis(port=port, socket_timeout=timeout, socket_connect_timeout=5, retry=Retry(NoBackoff(), 0))


class KilledAndRestarted(Fault):
    """``kill -9``; the append-only file restores all but the last second."""

    name = "kill -9, restart"
    bound = Bound(over=QUOTA, loses_counts=True)

    def inject(self) -> None:
        self._killed = self.masters[0]
        self._pid = self._killed.process.pid
        self._killed.kill()

    def prove(self) -> None:
        require(not psutil.pid_exists(self._pid), "The server still runs.")
        require(not _answers(self._killed), "Somebody still answers.")

    def mend(self) -> None:
        self._killed.start()


class Emptied(Fault):
    name = "FLUSHALL"
    bound = Bound(over=QUOTA, back=10.0, loses_counts=True)

    def inject(self) -> None:
        self._sizes = []
        for master in self.masters:
            with master.client as client:
                pipeline = client.pipeline(transaction=True)
                pipeline.dbsize().flushall().dbsize()
                before, _, after = pipeline.execute()
                self._sizes.append((before, after))

    def prove(self) -> None:
        require(sum(before for before, _ in self._sizes) >= SHARDS, "There was not much to be emptied.")
        require(all(after == 0 for _, after in self._sizes), "The store was not emptied.")


class Full(Fault):
    """``maxmemory`` with ``noeviction``."""

    name = "out of memory"

    def inject(self) -> None:
        for master in self.masters:
            with master.client as client:
                client.config_set("maxmemory-policy", "noeviction")
                client.config_set("maxmemory", 1)

    def prove(self) -> None:
        with self.masters[0].client as client:
            try:
                client.set("one-more", 1)
            except exceptions.OutOfMemoryError:
                return
        raise FaultDidNotTake("The store still takes writes.")

    def mend(self) -> None:
        for master in self.masters:
            with master.client as client:
                client.config_set("maxmemory", 0)


class SlowLink(Fault):
    """Every reply arrives after the deadline of the check."""

    name = "slow link"
    delay = 1.0

    def inject(self) -> None:
        self._link.delay(self.delay)

    def prove(self) -> None:
        began = time.monotonic()
        try:
            _asked_once(self._link.port, self.delay / 2).ping()
        except exceptions.TimeoutError:
            require(time.monotonic() - began >= self.delay / 2, "Somebody hung up.")
            return
        raise FaultDidNotTake("The link is as fast as ever.")

    def mend(self) -> None:
        self._link.delay(0)

    @property
    def _link(self) -> Link:
        topology = self.world.topology
        assert isinstance(topology, SingleTopology)
        return topology.link


class DeadLink(SlowLink):
    """No data pass, and no connection is closed."""

    name = "dead link"
    delay = 3600.0

    def prove(self) -> None:
        try:
            _asked_once(self._link.port, 0.3).ping()
        except exceptions.TimeoutError:
            return
        raise FaultDidNotTake("Something passes.")


class MasterLost(Fault):
    """``kill -9`` of a master; a replica takes over."""

    name = "master killed, failover"
    bound = Bound(over=QUOTA, loses_counts=True)

    def inject(self) -> None:
        self._before = self.masters
        self._killed = self._before[0]
        self._pid = self._killed.process.pid
        self._killed.kill()

    def prove(self) -> None:
        require(not psutil.pid_exists(self._pid), "The master still runs.")

    def mend(self) -> None:
        wait_until(lambda: self._killed not in self.masters and len(self.masters) == len(self._before))

    def clear(self) -> None:
        self._killed.start()
        _make_whole(self.world)


class PlannedFailover(Fault):
    """An operator promotes a replica."""

    name = "planned failover"
    bound = Bound(over=QUOTA, stale=3.0, loses_counts=True)

    def inject(self) -> None:
        self._before = self.masters
        topology = self.world.topology
        if isinstance(topology, SentinelTopology):
            topology.sentinels[0].client.sentinel_failover(topology.service)
        else:
            assert isinstance(topology, ClusterTopology)
            topology.hand_over(self._before[0])

    def prove(self) -> None:
        require_soon(lambda: set(self.masters) != set(self._before), "No other master took over.", self.timeout)

    def clear(self) -> None:
        _make_whole(self.world)


def _make_whole(world: World) -> None:
    topology = world.topology
    assert isinstance(topology, SentinelTopology | ClusterTopology)
    topology.make_whole()


class MasterCutOff(Fault):
    """The master is unreachable for replicas and Sentinels, and still accepts writes."""

    name = "master cut off, takes writes"
    bound = Bound(over=QUOTA, stale=3.0, loses_counts=True)

    def inject(self) -> None:
        self._old = self.masters[0]
        self._topology.cut_off(self._old)

    def prove(self) -> None:
        require_soon(lambda: self._old not in self.masters, "No other master took over.", self.timeout)
        with self._old.client as client:
            require(client.info("replication")["role"] == "master", "The old master was told.")
            require(bool(client.set("still-taken", 1)), "The old master takes no writes.")

    def clear(self) -> None:
        self._topology.reconnect(self._old)
        _make_whole(self.world)

    @property
    def _topology(self) -> SentinelTopology:
        topology = self.world.topology
        assert isinstance(topology, SentinelTopology)
        return topology


class FencedMasterCutOff(MasterCutOff):
    """The same with ``min-replicas-to-write``: the master stops accepting writes."""

    name = "master cut off, min-replicas-to-write"

    def inject(self) -> None:
        for server in self.world.topology.servers:
            with server.client as client:
                client.config_set("min-replicas-to-write", 1)
                client.config_set("min-replicas-max-lag", 1)
        super().inject()

    def prove(self) -> None:
        require_soon(self._refuses_writes, "The old master still takes writes.", self.timeout)
        require_soon(lambda: self._old not in self.masters, "No other master took over.", self.timeout)

    def _refuses_writes(self) -> bool:
        with self._old.client as client:
            try:
                client.set("still-taken", 1)
            except exceptions.ResponseError as error:
                return str(error).startswith("NOREPLICAS")
        return False

    def clear(self) -> None:
        for server in self.world.topology.servers:
            with server.client as client:
                client.config_set("min-replicas-to-write", 0)
        super().clear()


FAULTS: dict[str, tuple[type[Fault], ...]] = {
    "single": (ScriptFlush, ClientKill, Frozen, Full, SlowLink, DeadLink, Emptied, KilledAndRestarted),
    "sentinel": (MasterLost, PlannedFailover, MasterCutOff, *((FencedMasterCutOff,) if LONG else ())),
    "cluster": (MasterLost, PlannedFailover, Emptied, Frozen),
}
