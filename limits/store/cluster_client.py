"""The config plane's client of a Cluster.

redis-py's own sends the commands of a pipeline again one by one where a master is away, each with
its own time limit. This one has one pipeline for each master, and says of each command what became
of it, so that the masters that are there get theirs.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from redis import ConnectionPool, Redis, exceptions
from redis.commands.core import CoreCommands
from redis.exceptions import AskError, MovedError

from limits.store.addresses import Address, Location
from limits.store.cluster_map import ClusterMap
from limits.store.deadline import Deadline
from limits.store.redis_py import event_dispatcher

MAP_SECONDS = 1.0
"""How old the map of the Cluster may be. Redirections mend it in between."""

ROUNDS = 5
"""Times that redirected commands are sent."""

Command = tuple[tuple[Any, ...], dict[str, Any]]


class _Commands(CoreCommands):
    """redis-py's methods for commands, in bytes."""

    _is_async_client: Literal[False] = False

    @property
    def _event_dispatcher(self) -> Any:  # type: ignore[override]
        """One for each use, since it holds a lock."""
        return event_dispatcher()


class ClusterClient(_Commands):
    """Commands with a key, each sent to its master by redis-py's ordinary client. Errors are
    redis-py's, and :class:`~limits.store.errors.StoreUnavailable` where no node of the Cluster answers."""

    def __init__(self, location: Location, patience: float) -> None:
        """``patience``: seconds for each answer."""
        self._location = location
        self._patience = patience
        self._map = ClusterMap(location)
        self._map_holds_until = 0.0
        self._clients: dict[Address, Redis] = {}

    def execute_command(self, *command: Any, **options: Any) -> Any:
        (answer,) = self.send([(command, options)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pipeline(self, transaction: bool = False) -> "ClusterPipeline":
        """Collects commands. They are no transaction: there is none over several masters."""
        if transaction:
            raise NotImplementedError("A Cluster has no transactions over several masters.")
        return ClusterPipeline(self)

    def client_of(self, key: str) -> Redis:
        """redis-py's client of the master that holds a key. Raises redis-py's errors."""
        self._read_old_map()
        master = self._map.master_of(key)
        if master is None:
            raise exceptions.ClusterDownError("No master of the Cluster holds this slot.")
        return self._client(master)

    def masters(self) -> list[Redis]:
        """redis-py's clients of all masters that hold slots."""
        self._read_old_map()
        return [self._client(master) for master in self._map.masters]

    def close(self) -> None:
        """Closes every connection."""
        for client in self._clients.values():
            client.close()

    def send(self, commands: Sequence[Command]) -> list[Any]:
        """Sends commands, one pipeline for each master. Returns for each its answer or its error."""
        answers: list[Any] = [None] * len(commands)
        asked: list[Address | None] = [None] * len(commands)
        waiting: Iterable[int] = range(len(commands))
        for _ in range(ROUNDS):
            self._read_old_map()
            for master, numbers in self._by_master(commands, waiting).items():
                sent = self._send_to(master, [commands[number] for number in numbers])
                for number, answer in zip(numbers, sent, strict=True):
                    answers[number], asked[number] = answer, master
            waiting = [number for number, answer in enumerate(answers) if isinstance(answer, MovedError)]
            if not waiting:
                break
            self._map_holds_until = 0.0
        return [self._follow(*each) for each in zip(commands, answers, asked, strict=True)]

    def _by_master(self, commands: Sequence[Command], numbers: Iterable[int]) -> dict[Address | None, list[int]]:
        places: dict[Address | None, list[int]] = defaultdict(list)
        for number in numbers:
            places[self._map.master_of(key_of(commands[number][0]))].append(number)
        return places

    def _send_to(self, master: Address | None, commands: Sequence[Command]) -> list[Any]:
        if master is None:
            return [exceptions.ClusterDownError("No master of the Cluster holds this slot.")] * len(commands)
        pipeline = self._client(master).pipeline(transaction=False)
        for command, options in commands:
            pipeline.execute_command(*command, **options)
        try:
            return list(pipeline.execute(raise_on_error=False))
        except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
            self._map_holds_until = 0.0
            return [error] * len(commands)

    def _follow(self, command: Command, answer: Any, asked: Address | None) -> Any:
        """Follows a key that is just moving to another master."""
        if asked is None or not isinstance(answer, AskError) or isinstance(answer, MovedError):
            return answer
        importing = self._map.redirected(answer.host, answer.port, asked)
        return self._send_to(importing, [(("ASKING",), {}), command])[-1]

    def _client(self, master: Address) -> Redis:
        client = self._clients.get(master)
        if client is None:
            timeouts = {"socket_timeout": self._patience, "socket_connect_timeout": self._patience}
            options = {**self._location.options, **timeouts, "host": master[0], "port": master[1]}
            new = Redis(connection_pool=ConnectionPool(self._location.connection_class, **options))
            client = self._clients.setdefault(master, new)
        return client

    def _read_old_map(self) -> None:
        if time.monotonic() >= self._map_holds_until:
            self._map.read(Deadline(self._patience))
            self._map_holds_until = time.monotonic() + MAP_SECONDS


class ClusterPipeline(_Commands):
    """Commands that are sent together."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client
        self._commands: list[Command] = []

    def execute_command(self, *command: Any, **options: Any) -> "ClusterPipeline":
        self._commands.append((command, options))
        return self

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """The answers. Raises the first error, or returns it in the place of its answer."""
        commands, self._commands = self._commands, []
        answers = self._client.send(commands)
        if raise_on_error:
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers


PatientClient = Redis | ClusterClient
"""The config plane's client, whatever the store is made of."""


def key_of(command: Sequence[Any]) -> str:
    """The first key of a command."""
    key = command[3] if command[0] in ("EVAL", "EVALSHA") else command[1]
    return key.decode() if isinstance(key, bytes) else str(key)
