"""What is read while somebody asks: whether the stores are there, and what waits in them.

A store that is away is a reading too; what only it could tell is then left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from limits.conf import setting
from limits.domain.ruleset import Version
from limits.models import Alert, Message, Progress, Publication, Work
from limits.monitoring.drain import usage_counts
from limits.store.connection import hot_connections
from limits.store.deadline import Deadline
from limits.store.errors import StoreError
from limits.store.keys import Keys
from limits.store.rules import RulesetReader


@dataclass(frozen=True, slots=True)
class Reading:
    """The present value of one gauge."""

    name: str
    text: str
    value: float


def readings() -> Iterator[Reading]:
    """Everything that can be read now."""
    yield from _store()
    yield from _database()


def _store() -> Iterator[Reading]:
    name, text = "ratelimit_store_up", "Whether this server reaches Redis: 1 or 0."
    reader = RulesetReader(hot_connections(), Keys(setting("NAMESPACE")))
    try:
        token = reader.pointer(Deadline(setting("CHECK_DEADLINE")))
    except StoreError:
        yield Reading(name, text, 0)
        return
    yield Reading(name, text, 1)
    yield from _damage()
    if token is not None:
        text = "The ruleset that is in force in the store."
        yield Reading("ratelimit_ruleset_published_version", text, Version.parse(token).sequence)


def _damage() -> Iterator[Reading]:
    try:
        found = usage_counts().damage_found()
    except StoreError:
        return
    text = "Entries in Redis, of the last days, that are not what the platform writes. They were set aside."
    yield Reading("ratelimit_damaged_entries", text, sum(found.kinds.values()) if found else 0)


def _database() -> Iterator[Reading]:
    name, text = "ratelimit_database_up", "Whether this server reaches PostgreSQL: 1 or 0."
    try:
        found = [*_work(), *_alerts()]
    except (DatabaseError, InterfaceError):
        yield Reading(name, text, 0)
        return
    yield Reading(name, text, 1)
    yield from found


def _work() -> Iterator[Reading]:
    latest = Publication.objects.order_by("-sequence").values_list("state", flat=True).first()
    waiting = latest not in (None, Publication.State.LIVE)
    text = "Whether the newest publication is not live everywhere yet: 1 or 0."
    yield Reading("ratelimit_publication_waiting", text, waiting)
    if (drained := Progress.of(Work.DRAIN)) is not None:
        text = "Time since all usage counts were brought from Redis to PostgreSQL."
        yield Reading("ratelimit_drain_lag_seconds", text, max(0.0, (timezone.now() - drained).total_seconds()))


def _alerts() -> Iterator[Reading]:
    yield Reading("ratelimit_alerts_open", "Alerts that are open.", Alert.objects.filter(resolved_at=None).count())
    waiting = Message.objects.filter(sent_at=None).exclude(next_attempt_at=None).count()
    yield Reading("ratelimit_messages_waiting", "Messages about alerts that are not delivered yet.", waiting)
