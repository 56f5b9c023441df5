"""What can be wrong with the platform itself, as far as its own database and store tell."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from limits.conf import setting
from limits.models import Progress, Publication, Work
from limits.monitoring.sql import execute
from limits.store.connection import patient_client
from limits.store.errors import StoreError
from limits.store.keys import Keys
from limits.store.rules import RulesetWriter

MINUTE = timedelta(minutes=1)

PUBLISH_PATIENCE = MINUTE
"""The reconciler repairs within seconds what it can."""

DRAIN_PATIENCE = 5 * MINUTE

NAMELESS_WINDOW = 2 * MINUTE
"""How far back callers without a name and unknown endpoints are looked for."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something is wrong: a name that stays the same, and a sentence with what to do."""

    name: str
    sentence: str


def found(end: datetime) -> Iterator[Problem]:
    """Yields what is wrong now, ``end`` being the end of the present minute."""
    for look in _LOOKS:
        yield from look(end)


def _store(end: datetime) -> Iterator[Problem]:
    try:
        RulesetWriter(patient_client(), Keys(setting("NAMESPACE"))).pointer()
    except StoreError as error:
        yield Problem(
            "store unreachable",
            f"Redis cannot be reached: {error} Requests are decided by each policy's answer for that, and are not "
            "counted exactly. Servers find it again by themselves.",
        )


def _publication(end: datetime) -> Iterator[Problem]:
    latest = Publication.objects.order_by("-sequence").first()
    if latest and latest.state != Publication.State.LIVE and latest.created_at < end - MINUTE - PUBLISH_PATIENCE:
        yield Problem(
            "publish not live",
            f"Version {latest.sequence} by {latest.author} is {latest.get_state_display()} since "
            f"{latest.created_at:%F %T} UTC. The reconciler keeps trying; “manage.py publish_ruleset” says why it "
            "fails.",
        )


def _drain(end: datetime) -> Iterator[Problem]:
    drained = Progress.of(Work.DRAIN)
    if drained is not None and drained < end - MINUTE - DRAIN_PATIENCE:
        yield Problem(
            "counts not drained",
            f"Usage counts were last brought from Redis at {drained:%F %T} UTC. They wait there, and usage and other "
            "alerts are as old. The worker's log says why.",
        )


def _folded(end: datetime) -> Iterator[Problem]:
    if requests := _requests("client_key = ''", end):
        yield Problem(
            "callers counted together",
            f"{requests:,} requests in the last minutes came from more different callers than are counted by name. "
            "Their sum is exact. It may be a flood under ever new keys; if all are real, raise COUNTS_PER_BUCKET.",
        )


def _unknown(end: datetime) -> Iterator[Problem]:
    if requests := _requests("endpoint = ''", end):
        yield Problem(
            "unknown endpoints",
            f"{requests:,} requests in the last minutes named an endpoint, or a path, that nobody registered. Only the "
            "policies without an endpoint apply to them.",
        )


_LOOKS: tuple[Callable[[datetime], Iterator[Problem]], ...] = (_store, _publication, _drain, _folded, _unknown)


def _requests(condition: str, end: datetime) -> int:
    statement = (
        f"SELECT coalesce(sum(requests), 0) FROM limits_usage WHERE minute >= %s AND minute < %s AND {condition}"
    )
    return int(execute(statement, [end - NAMELESS_WINDOW, end])[0][0])
