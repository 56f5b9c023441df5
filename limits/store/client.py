"""The control plane's Redis client, for one server, Sentinel and Cluster, and the control plane's Lua scripts.

It is an ordinary client, with a longer timeout than a check. It never sends a command twice.

On a Cluster, redis-py's own client resends the commands of a pipeline one by one if a master is unavailable,
each with a separate timeout. This client has one pipeline for each master, and reports the result of each
command separately, so that the available masters receive theirs.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from redis import ConnectionPool, Redis, exceptions
from redis.commands.core import CoreCommands
from redis.event import EventDispatcher
from redis.exceptions import AskError, MovedError

from ratelimit_enforcer.conf import once_per_store, setting
from ratelimit_enforcer.store.connections.cluster import ClusterMap
from ratelimit_enforcer.store.connections.factory import location_of
from ratelimit_enforcer.store.connections.redis_url import Address, Kind, Location
from ratelimit_enforcer.store.connections.sentinels import MasterPool
from ratelimit_enforcer.store.deadline import Deadline

MAX_MAP_AGE_SECONDS = 1.0
"""The maximum age of the Cluster's slot map. Redirections correct it in between."""

MAX_ROUNDS = 5
"""Maximum number of times that a command is sent, including redirections."""

Command = tuple[tuple[Any, ...], dict[str, Any]]


class _Commands(CoreCommands):
    """redis-py's command methods, with keys and values in bytes."""

    _is_async_client: Literal[False] = False

    @property
    def _event_dispatcher(self) -> Any:  # type: ignore[override]
        """Returns a new dispatcher for each use, since it has a lock."""
        return EventDispatcher()


class ClusterClient(_Commands):
    """Sends commands with a key to the master of that key, using redis-py's ordinary client. Raises
    redis-py's errors, and :class:`~ratelimit_enforcer.store.errors.StoreUnavailable` if no node of the
    Cluster answers."""

    def __init__(self, location: Location, timeout: float) -> None:
        """``timeout``: seconds for each answer."""
        self._location = location
        self._timeout = timeout
        self._map = ClusterMap(location)
        self._map_expires_at = 0.0
        self._clients: dict[Address, Redis] = {}

    def execute_command(self, *command: Any, **options: Any) -> Any:
        (answer,) = self.send([(command, options)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pipeline(self, transaction: bool = False) -> "ClusterPipeline":
        """Returns a pipeline, which is not a transaction: there is none over several masters."""
        if transaction:
            raise NotImplementedError("A Cluster has no transactions over several masters.")
        return ClusterPipeline(self)

    def client_of(self, key: str) -> Redis:
        """Returns redis-py's client of the master of this key. Raises redis-py's errors."""
        self._refresh_map()
        master = self._map.master_of(key)
        if master is None:
            raise exceptions.ClusterDownError("No master of the Cluster has this slot.")
        return self._client(master)

    def masters(self) -> list[Redis]:
        """Returns redis-py's clients of all masters that have slots."""
        self._refresh_map()
        return [self._client(master) for master in self._map.masters]

    def close(self) -> None:
        """Closes every connection."""
        for client in self._clients.values():
            client.close()

    def send(self, commands: Sequence[Command]) -> list[Any]:
        """Sends commands, in one pipeline for each master. Returns the answer or the error for each command."""
        answers: list[Any] = [None] * len(commands)
        asked: list[Address | None] = [None] * len(commands)
        waiting: Iterable[int] = range(len(commands))
        for _ in range(MAX_ROUNDS):
            self._refresh_map()
            for master, numbers in self._by_master(commands, waiting).items():
                sent = self._send_to(master, [commands[number] for number in numbers])
                for number, answer in zip(numbers, sent, strict=True):
                    answers[number], asked[number] = answer, master
            waiting = [number for number, answer in enumerate(answers) if isinstance(answer, MovedError)]
            if not waiting:
                break
            self._map_expires_at = 0.0
        followed = (self._follow_ask(*each) for each in zip(commands, answers, asked, strict=True))
        return [_loop() if isinstance(answer, AskError) else answer for answer in followed]

    def _by_master(self, commands: Sequence[Command], numbers: Iterable[int]) -> dict[Address | None, list[int]]:
        places: dict[Address | None, list[int]] = defaultdict(list)
        for number in numbers:
            places[self._map.master_of(key_of(commands[number][0]))].append(number)
        return places

    def _send_to(self, master: Address | None, commands: Sequence[Command]) -> list[Any]:
        if master is None:
            return [exceptions.ClusterDownError("No master of the Cluster has this slot.")] * len(commands)
        pipeline = self._client(master).pipeline(transaction=False)
        for command, options in commands:
            pipeline.execute_command(*command, **options)
        try:
            return list(pipeline.execute(raise_on_error=False))
        except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
            self._map_expires_at = 0.0
            return [error] * len(commands)

    def _follow_ask(self, command: Command, answer: Any, asked: Address | None) -> Any:
        """Follows a key that is being moved to another master."""
        if asked is None or not isinstance(answer, AskError) or isinstance(answer, MovedError):
            return answer
        importing = self._map.redirection_target(answer.host, answer.port, asked)
        return self._send_to(importing, [(("ASKING",), {}), command])[-1]

    def _client(self, master: Address) -> Redis:
        client = self._clients.get(master)
        if client is None:
            timeouts = {"socket_timeout": self._timeout, "socket_connect_timeout": self._timeout}
            options = {**self._location.options, **timeouts, "host": master[0], "port": master[1]}
            new = Redis(connection_pool=ConnectionPool(self._location.connection_class, **options))
            client = self._clients.setdefault(master, new)
        return client

    def _refresh_map(self) -> None:
        if time.monotonic() >= self._map_expires_at:
            self._map.read(Deadline(self._timeout))
            self._map_expires_at = time.monotonic() + MAX_MAP_AGE_SECONDS


class ClusterPipeline(_Commands):
    """Collects commands and sends them together, in one pipeline for each master; not a transaction."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client
        self._commands: list[Command] = []

    def execute_command(self, *command: Any, **options: Any) -> "ClusterPipeline":
        self._commands.append((command, options))
        return self

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Sends the commands and returns the answers. Raises the first error, or with
        ``raise_on_error=False`` returns each error in place of its answer."""
        commands, self._commands = self._commands, []
        answers = self._client.send(commands)
        if raise_on_error:
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers


def _loop() -> Exception:
    """A new error each time: a raised one keeps its traceback."""
    return exceptions.ClusterDownError("The masters of the Cluster redirect this key in a loop.")


ControlClient = Redis | ClusterClient
"""The control plane's client for any kind of store."""


def key_of(command: Sequence[Any]) -> str:
    """Returns the first key of a command, which determines the slot."""
    key = command[3] if command[0] in ("EVAL", "EVALSHA") else command[1]
    return key.decode() if isinstance(key, bytes) else str(key)


TIMEOUT_SECONDS = 2.0
"""The control plane's timeout for Redis, in seconds."""


def control_client() -> ControlClient:
    """Returns the control plane's client of this process; answers are bytes. On a Cluster it is a
    :class:`ClusterClient`."""
    return _control_client(setting("REDIS"))


@once_per_store
def _control_client(name: str) -> ControlClient:
    return control_client_of(location_of(name))


def control_client_of(location: Location, timeout: float = TIMEOUT_SECONDS) -> ControlClient:
    """Returns a client of a store with ``timeout`` seconds for each answer."""
    timeouts = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    if location.kind is Kind.CLUSTER:
        return ClusterClient(location, timeout)
    if location.kind is Kind.SENTINEL:
        return Redis(connection_pool=MasterPool(location, **timeouts))
    return Redis(connection_pool=ConnectionPool(location.connection_class, **{**location.options, **timeouts}))


_SCRIPTS = Path(__file__).parent / "lua"


@cache
def script_source(name: str) -> str:
    """Returns the text of the control plane's script with this file name (without the extension)."""
    return (_SCRIPTS / f"{name}.lua").read_text(encoding="utf-8")
