"""Stores of several servers: a master with replicas under Sentinels, and a Cluster."""

import secrets
import socket
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS
from redis.exceptions import ResponseError

from ratelimit_platform.embedded.redis import RedisDidNotStart, RedisServer, free_port, redis_executable
from tests.support.waiting import wait_until

NOTICED_AFTER_MS = 2_000
"""Milliseconds until a silent server counts as failed. If it is much shorter, a busy machine loses running servers."""

ATTEMPTS = 3
"""Attempts to form a Cluster before its test fails."""

MEET_AGAIN_AFTER = 3.0
"""Seconds after which CLUSTER MEET is repeated for nodes that have not met, because it may time out."""

HAND_OVER_AGAIN_AFTER = 6.0
"""Seconds after which Redis has aborted a manual failover."""

_ALL = ("on", ">secret", "~*", "&*", "+@all")
_USERS = (
    # Replicas and Sentinels log in as separate users, so that a test can cut them off.
    *("--user", "replica", *_ALL, "--user", "sentinel", *_ALL),
    *("--masteruser", "replica", "--masterauth", "secret"),
)


class SentinelServer(RedisServer):
    """One Sentinel."""

    def __init__(self, folder: Path, master_port: int, *, quorum: int = 2, service: str = "mymaster") -> None:
        super().__init__(folder)
        self.id = secrets.token_hex(20)
        self._service = service
        self._lines = [
            f"sentinel myid {self.id}",
            f"sentinel monitor {service} 127.0.0.1 {master_port} {quorum}",
            f"sentinel auth-user {service} sentinel",
            f"sentinel auth-pass {service} secret",
            f"sentinel down-after-milliseconds {service} {NOTICED_AFTER_MS}",
            f"sentinel failover-timeout {service} 3000",
            f"sentinel parallel-syncs {service} 2",
        ]

    def know(self, replicas: Iterable[RedisServer], sentinels: Iterable["SentinelServer"]) -> None:
        """Configures the other servers in advance, as after a restart, instead of waiting for their discovery."""
        self._lines += [f"sentinel known-replica {self._service} 127.0.0.1 {each.port}" for each in replicas]
        others = [each for each in sentinels if each is not self]
        self._lines += [f"sentinel known-sentinel {self._service} 127.0.0.1 {each.port} {each.id}" for each in others]

    def _command(self) -> list[str]:
        # Sentinel writes its state into this file, and continues with it after a restart.
        file = self.folder / "sentinel.conf"
        if not file.exists():
            head = ("bind 127.0.0.1", f"port {self.port}", f"dir {self.folder}")
            file.write_text("\n".join((*head, *self._lines)) + "\n", encoding="utf-8")
        return [redis_executable(), str(file), "--sentinel"]


class SentinelTopology:
    """One master, two replicas and three Sentinels."""

    service = "mymaster"

    def __init__(self, folder: Path, *, options: tuple[str, ...] = ()) -> None:
        # By default, since Redis 7, a master waits five seconds for further replicas before it sends its data.
        options = (*_USERS, "--repl-diskless-sync-delay", "0", *options)
        first = RedisServer(folder / "server-0", options=options)
        replicated = ("--replicaof", "127.0.0.1", str(first.port))
        replicas = [RedisServer(folder / f"server-{n}", options=(*options, *replicated)) for n in (1, 2)]
        self.servers = [first, *replicas]
        self.sentinels = [SentinelServer(folder / f"sentinel-{n}", first.port) for n in range(3)]
        for each in self.sentinels:
            each.know(replicas, self.sentinels)

    @property
    def url(self) -> str:
        nodes = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)
        return f"redis+sentinel://{nodes}/{self.service}/0"

    def start(self) -> "SentinelTopology":
        _start(self.servers)
        _start(self.sentinels)
        wait_until(self.is_whole)
        return self

    def _is_known_by(self, sentinel: RedisServer) -> bool:
        with sentinel.client as client:
            others = [*client.sentinel_slaves(self.service), *client.sentinel_sentinels(self.service)]
        return len(others) == 4 and not any(other["is_disconnected"] for other in others)

    @property
    def master(self) -> RedisServer:
        """The master according to most Sentinels."""
        named = []
        for sentinel in self.sentinels:
            with sentinel.client as client:
                named.append(client.sentinel_get_master_addr_by_name(self.service)[1])
        port = max(named, key=named.count)
        return next(server for server in self.servers if server.port == port)

    @property
    def masters(self) -> list[RedisServer]:
        return [self.master]

    def is_whole(self) -> bool:
        """Whether all servers know each other, and both replicas are in sync with the master."""
        with self.master.client as client:
            info = client.info("replication")
        known = all(self._is_known_by(sentinel) for sentinel in self.sentinels)
        return bool(known and info["role"] == "master" and info["connected_slaves"] == 2 and _replicates(info))

    def make_whole(self) -> None:
        """After a failover, makes the old master a replica of the new one. Sentinel itself does that only after eight
        seconds."""
        master = self.master
        for server in self.servers:
            with server.client as client:
                if server is not master and client.info("replication")["role"] == "master":
                    client.replicaof("127.0.0.1", master.port)
        wait_until(self.is_whole)

    def cut_off(self, server: RedisServer) -> None:
        """Cuts the server off from replicas and Sentinels, which consider it failed. All others still reach it."""
        with server.client as client:
            for user in ("replica", "sentinel"):
                client.execute_command("ACL", "SETUSER", user, "off")
                client.execute_command("CLIENT", "KILL", "USER", user)
            # If its login fails, a Sentinel still acts as the default user, which needs no password.
            client.execute_command("ACL", "SETUSER", "default", "-ping")

    def reconnect(self, server: RedisServer) -> None:
        """Undoes :meth:`cut_off`."""
        with server.client as client:
            for user in ("replica", "sentinel"):
                client.execute_command("ACL", "SETUSER", user, "on")
            client.execute_command("ACL", "SETUSER", "default", "+ping")

    def stop(self) -> None:
        for server in (*self.sentinels, *self.servers):
            server.kill()


class ClusterTopology:
    """Three masters, by default with one replica each."""

    def __init__(self, folder: Path, *, masters: int = 3, replicas: int = 1, options: tuple[str, ...] = ()) -> None:
        clustered = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(NOTICED_AFTER_MS))
        more = (*clustered, "--repl-diskless-sync-delay", "0", *options)
        self._folder, self._options = folder, more
        self._masters, self._count = masters, masters * (1 + replicas)
        self.servers = self._made(0)

    def _made(self, attempt: int) -> list[RedisServer]:
        folder = self._folder / f"attempt-{attempt}"
        return [
            RedisServer(folder / f"node-{n}", port=free_cluster_port(), options=self._options)
            for n in range(self._count)
        ]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers[: self._masters])

    def start(self) -> "ClusterTopology":
        """Starts the servers. Repeats this with new ports if another process has taken one of them."""
        for attempt in range(1, ATTEMPTS):
            try:
                return self._form()
            except (RedisDidNotStart, ResponseError):
                self.stop()
                self.servers = self._made(attempt)
        return self._form()

    def _form(self) -> "ClusterTopology":
        _start(self.servers)
        for number, server in enumerate(self.servers[: self._masters]):
            first, last = (REDIS_CLUSTER_HASH_SLOTS * n // self._masters for n in (number, number + 1))
            _say(server, "CLUSTER", "ADDSLOTS", *range(first, last))
            _say(server, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        self._meet_again_at = 0.0
        wait_until(self._have_met)
        for number, server in enumerate(self.servers[self._masters :]):
            _say(server, "CLUSTER", "REPLICATE", _say(self.servers[number % self._masters], "CLUSTER", "MYID").decode())
        wait_until(self.is_whole)
        return self

    def _have_met(self) -> bool:
        if time.monotonic() >= self._meet_again_at:
            self._meet_again_at = time.monotonic() + MEET_AGAIN_AFTER
            met = "\n".join(self._met_by(self.servers[0]))
            for server in self.servers[1:]:
                if f":{server.port}@" not in met:
                    _say(self.servers[0], "CLUSTER", "MEET", "127.0.0.1", server.port)
        return all(len(self._met_by(server)) == len(self.servers) for server in self.servers)

    def _met_by(self, server: RedisServer) -> list[str]:
        lines = _say(server, "CLUSTER", "NODES").decode().splitlines()
        return [line for line in lines if "handshake" not in line]

    def is_whole(self) -> bool:
        """Whether every running node sees all slots served by masters that are in sync with their
        replicas."""
        return all(self._sees_all_well(server) for server in self.running)

    @property
    def running(self) -> list[RedisServer]:
        return [server for server in self.servers if server.is_running]

    def _sees_all_well(self, server: RedisServer) -> bool:
        with server.client as client:
            info = client.info("replication")
            state = client.execute_command("CLUSTER INFO")
        # Without required full coverage, the state is ok even while slots have no master.
        served = int(state["cluster_slots_ok"]) == REDIS_CLUSTER_HASH_SLOTS
        return bool(_replicates(info) and served and state["cluster_state"] == "ok")

    @property
    def masters(self) -> list[RedisServer]:
        """The servers that have slots at present, according to a running node."""
        with self.running[0].client as client:
            ports = {slot[2][1] for slot in client.execute_command("CLUSTER", "SLOTS", NEVER_DECODE=True)}
        return [server for server in self.servers if server.port in ports]

    def make_whole(self) -> None:
        """After a failover, waits until the old master is a replica of the new one."""
        wait_until(self.is_whole)

    def hand_over(self, master: RedisServer) -> None:
        """Promotes a replica of the master, as an operator would, and repeats the command if it takes too long."""
        replica = next(server for server in self.running if self._is_replica_of(server, master))
        again_at = 0.0

        def is_done() -> bool:
            nonlocal again_at
            if time.monotonic() >= again_at and replica not in self.masters:
                again_at = time.monotonic() + HAND_OVER_AGAIN_AFTER
                _say(replica, "CLUSTER", "FAILOVER")
            return replica in self.masters

        wait_until(is_done)

    def _is_replica_of(self, server: RedisServer, master: RedisServer) -> bool:
        with server.client as client:
            return bool(client.info("replication").get("master_port") == master.port)

    def stop(self) -> None:
        for server in self.servers:
            server.kill()


def _start(servers: Sequence[RedisServer]) -> None:
    """Starts them simultaneously, because a server that does not find another one retries only after a second."""
    with ThreadPoolExecutor(len(servers)) as pool:
        list(pool.map(RedisServer.start, servers))


def _replicates(info: dict[str, Any]) -> bool:
    """Whether a replica is connected to its master, or a master's replicas have completed the initial
    synchronization, before which they confirm no write."""
    if info["role"] != "master":
        return bool(info["master_link_status"] == "up")
    replicas = [info[f"slave{number}"] for number in range(info["connected_slaves"])]
    return all(replica["state"] == "online" for replica in replicas)


def free_cluster_port() -> int:
    """A free port whose cluster bus port, ten thousand above it, is free too."""
    while True:
        port = free_port()
        with socket.socket() as probe:
            try:
                if port < 55_000:
                    probe.bind(("127.0.0.1", port + 10_000))
                    return port
            except OSError:
                continue


def _say(server: RedisServer, *command: object) -> bytes:
    with server.client as client:
        client.response_callbacks.clear()
        return client.execute_command(*command)
