"""What can go wrong with the store. An outage is expected and named; everything else surfaces."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions

_OUTAGE_ANSWER = re.compile(r"(?:OOM|READONLY|LOADING|BUSY|CLUSTERDOWN|MASTERDOWN|MISCONF|NOREPLICAS|TRYAGAIN)\b")
"""How a Redis server says that it cannot serve now."""

_OF_PIPELINE = re.compile(r"Command # \d+ \(")
_OF_SCRIPT = re.compile(r" ?\d+: -")


class StoreError(Exception):
    """The store cannot help with this: expected, named, and answered by ``on_store_failure``."""

    in_doubt = 0
    """How many of the requests that were asked about, from the first undecided one on, the store may
    have counted nevertheless. The others it has certainly not counted."""


class StoreDataError(StoreError):
    """What lies in the store is not what the platform writes. The server is well: this is no outage
    and concerns nobody else. The message names the kind of data, never a client.

    ``kind``: a word of :data:`limits.store.damage.KINDS`.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class RulesetUnreadable(StoreError):
    """The rules in force are whole, and this process cannot decide by them: a later release wrote
    them, or this machine does not know a time zone."""


class StoreUnavailable(StoreError):
    """The store cannot be reached, does not answer in time, or says that it cannot serve now."""

    opens_breaker = True
    """Whether it shows that the server is unavailable for everybody, and not only for this call."""


class NotAsked(StoreUnavailable):
    """The command was not sent. Whether the server is well is not known, and its connection is as it was."""

    opens_breaker = False


class DeadlinePassed(NotAsked):
    """The time was over before the store was asked: the process itself used it up."""


class StillConnecting(NotAsked):
    """The connection was not open in time. Opening it goes on, and opens the breaker if it fails."""


class AnswerLost(StoreUnavailable):
    """The command was sent and nothing came back: it may have run, or may still run."""


class AnswerLate(AnswerLost):
    """The same, where the process itself had used up most of the time: the server may be well."""

    opens_breaker = False


class CountInDoubt(AnswerLost):
    """The command that was lost counts so many requests."""

    def __init__(self, lost: AnswerLost, requests: int = 1) -> None:
        super().__init__(*lost.args)
        self.in_doubt = requests


class SlotMoving(StoreUnavailable):
    """The keys are just moving from one master of a Cluster to another. Both serve everybody else."""

    opens_breaker = False


class PartlyPublished(StoreUnavailable):
    """Rules are in force, but not yet for everybody, or not safely; the message is for people."""


@contextmanager
def outages_named() -> Iterator[None]:
    """Turns the client library's ways to say “away” into :class:`StoreUnavailable`, and a wrong type into
    :class:`StoreDataError`."""
    try:
        yield
    except exceptions.RedisError as error:
        if is_wrong_type(error):
            raise StoreDataError("rules", "A key in Redis holds something else than the platform writes.") from error
        if (outage := outage_of(error)) is None:
            raise
        raise outage from error


def is_wrong_type(error: BaseException) -> bool:
    """Whether a key holds another type than what is written there."""
    return isinstance(error, exceptions.ResponseError) and "WRONGTYPE" in str(error)


def outage_of(error: exceptions.RedisError) -> StoreUnavailable | None:
    """The outage that this error is the cause of; None where it is a mistake of ours."""
    is_moving = isinstance(error, exceptions.TryAgainError)
    if not is_moving and not is_outage(error):
        return None
    kind = SlotMoving if is_moving else StoreUnavailable
    outage = kind(f"{type(error).__name__}: {error}")
    outage.__cause__ = error
    return outage


def is_outage(error: BaseException) -> bool:
    """Whether this error means that the store is away, rather than a mistake of ours."""
    if isinstance(error, StoreUnavailable | exceptions.ConnectionError | exceptions.TimeoutError):
        return True
    if isinstance(error, exceptions.ReadOnlyError | exceptions.OutOfMemoryError | exceptions.ClusterDownError):
        return True
    return _OUTAGE_ANSWER.match(_answer(str(error))) is not None


def _answer(message: str) -> str:
    """What the server said: in a pipeline redis-py puts the command before it, which may hold anything;
    before Redis 7 a script's error has its place before it."""
    if _OF_PIPELINE.match(message):
        message = message.rpartition(") of pipeline caused error: ")[2]
    said = message.rpartition("@user_script:")[2]
    place = _OF_SCRIPT.match(said)
    return said[place.end() :] if place else message
