"""Errors of the store. Outages are expected and have names; every other error surfaces."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions

_OUTAGE_ANSWER = re.compile(r"(?:OOM|READONLY|LOADING|BUSY|CLUSTERDOWN|MASTERDOWN|MISCONF|NOREPLICAS|TRYAGAIN)\b")
"""The errors with which a Redis server says that it cannot serve requests now."""

_OF_PIPELINE = re.compile(r"Command # \d+ \(")
_OF_SCRIPT = re.compile(r" ?\d+: -")


class StoreError(Exception):
    """The store cannot decide. This is expected; ``on_store_failure`` decides instead."""

    in_doubt = 0
    """The number of requests in the call, from the first undecided one on, that the store may have counted
    although the call failed. It has certainly not counted the others."""


class StoreDataError(StoreError):
    """The store contains data that the platform did not write. The server works: this is no outage, and does
    not affect other requests. The message names the kind of data, never a client.

    ``kind``: one of :data:`ratelimit_enforcer.store.damage.KINDS`.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class TooManyReservations(StoreError):
    """The client has too many unsettled reservations; nothing was changed."""


class ReservedMeanwhile(StoreError):
    """Another request has made the reservation of this name; nothing was changed."""


class RulesetUnreadable(StoreError):
    """The rules in force are intact, but this process cannot use them: a later release wrote them, or this
    machine does not know a time zone."""


class StoreUnavailable(StoreError):
    """The store cannot be reached, does not answer in time, or says that it cannot serve requests now."""

    opens_breaker = True
    """Whether the error shows that the server is unavailable for all calls, and not only for this one."""


class NotSent(StoreUnavailable):
    """The command was not sent. The state of the server is unknown, and its connection is unchanged."""

    opens_breaker = False


class DeadlinePassed(NotSent):
    """The deadline passed before the command was sent: the process itself used up the time."""


class StillConnecting(NotSent):
    """The connection was not open in time. It is still being opened; if that fails, the breaker opens."""


class AncestorsNotLoaded(StoreUnavailable):
    """The store does not have the records of a client's ancestors, because it is being loaded."""


class AnswerLost(StoreUnavailable):
    """The command was sent and no answer arrived: it may have run, or may still run."""


class AnswerLate(AnswerLost):
    """No answer arrived, but the process itself had used up most of the time, or the caller waited for less than usual:
    the server may be available."""

    opens_breaker = False


class CountInDoubt(AnswerLost):
    """The answer was lost for a command that counts ``requests`` requests."""

    def __init__(self, lost: AnswerLost, requests: int = 1) -> None:
        super().__init__(*lost.args)
        self.in_doubt = requests


class SlotMoving(StoreUnavailable):
    """The keys are moving from one master of a Cluster to another. Both masters still serve other keys."""

    opens_breaker = False


class PartlyPublished(StoreUnavailable):
    """Rules are in force, but not yet for all clients, or not safely; the message is shown to people."""


@contextmanager
def translating_redis_errors() -> Iterator[None]:
    """Turns the client library's errors for an outage into :class:`StoreUnavailable`, and a wrong type into
    :class:`StoreDataError`."""
    try:
        yield
    except exceptions.RedisError as error:
        if is_wrong_type(error):
            raise StoreDataError("rules", "A key in Redis has a value that the platform did not write.") from error
        if (outage := outage_of(error)) is None:
            raise
        raise outage from error


def is_wrong_type(error: BaseException) -> bool:
    """Whether a key has another type than the platform writes."""
    return isinstance(error, exceptions.ResponseError) and "WRONGTYPE" in str(error)


def outage_of(error: exceptions.RedisError) -> StoreUnavailable | None:
    """The outage behind this error; None if the error is a programming error."""
    is_moving = isinstance(error, exceptions.TryAgainError)
    if not is_moving and not is_outage(error):
        return None
    kind = SlotMoving if is_moving else StoreUnavailable
    outage = kind(f"{type(error).__name__}: {error}")
    outage.__cause__ = error
    return outage


def is_outage(error: BaseException) -> bool:
    """Whether this error means that the store is unavailable, and is not a programming error."""
    if isinstance(error, StoreUnavailable | exceptions.ConnectionError | exceptions.TimeoutError):
        return True
    if isinstance(error, exceptions.ReadOnlyError | exceptions.OutOfMemoryError | exceptions.ClusterDownError):
        return True
    return _OUTAGE_ANSWER.match(_answer(str(error))) is not None


def _answer(message: str) -> str:
    """The server's part of a message. In a pipeline, redis-py prepends the command, which may contain any
    text; before Redis 7, a script's error begins with its position."""
    if _OF_PIPELINE.match(message):
        message = message.rpartition(") of pipeline caused error: ")[2]
    said = message.rpartition("@user_script:")[2]
    place = _OF_SCRIPT.match(said)
    return said[place.end() :] if place else message
