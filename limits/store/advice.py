"""What is wrong with how the store is set up, in sentences for its operator.

``INFO`` tells most of it, so that a store whose ``CONFIG`` nobody may use is judged too; what only
``CONFIG`` would tell is then left open, and said to be.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from redis import Redis, exceptions

from limits.conf import setting
from limits.forking import renewed_when_forked
from limits.once import once
from limits.store.addresses import Kind, location_of
from limits.store.cluster_client import ClusterClient, PatientClient
from limits.store.connection import patient_client_of
from limits.store.errors import StoreError, outages_named
from limits.store.scripting_holes import ADVICE, has_hole, name_and_version, numbers_of

OLDEST = (6, 2)
NEARLY_FULL = 0.9
LOOK_EVERY = 60.0
"""Seconds between two looks of one process."""

PATIENCE = 0.5
"""Seconds that a look waits for a server."""


@dataclass(frozen=True)
class Facts:
    """What one master says of itself. ``settings``: what ``CONFIG`` says; None: it is not allowed."""

    kind: Kind
    info: Mapping[str, Any]
    settings: Mapping[str, str] | None


def warnings_of(redis: PatientClient, kind: Kind) -> list[str]:
    """A sentence for each thing to change. Raises :class:`StoreUnavailable`."""
    with outages_named():
        masters = redis.masters() if isinstance(redis, ClusterClient) else [redis]
        try:
            found = [sentence for master in masters for sentence in _sentences(_facts(master, kind))]
        except exceptions.NoPermissionError:
            found = ["INFO is not allowed here, so how Redis is set up is not known."]
    return list(dict.fromkeys(found))


def _facts(master: Redis, kind: Kind) -> Facts:
    info: dict[str, Any] = {}
    for section in ("server", "memory", "persistence", "replication"):
        info |= master.info(section)
    return Facts(kind, info, _settings(master))


def _settings(master: Redis) -> Mapping[str, str] | None:
    found: dict[str, str] = {}
    try:
        for name in ("save", "min-replicas-to-write", "cluster-require-full-coverage"):
            found |= {_text(key): _text(value) for key, value in master.config_get(name).items()}
    except exceptions.ResponseError:
        return None
    return found


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _sentences(facts: Facts) -> Iterator[str]:
    yield from _about_version(facts.info)
    yield from _about_memory(facts.info)
    yield from _about_disk(facts)
    yield from _about_replicas(facts)


def _about_version(info: Mapping[str, Any]) -> Iterator[str]:
    name, version = name_and_version(info)
    numbers = numbers_of(version)
    if name == "Redis" and numbers[:2] < OLDEST:
        yield f"Redis {version} is too old: the platform is tested from 6.2 on."
    elif has_hole(name, numbers):
        yield (
            f"{name} {version} has published holes in its scripting (such as CVE-2025-49844: a script can run code in "
            f"the server), unless your packager has fixed them. Run {ADVICE}."
        )


def _about_memory(info: Mapping[str, Any]) -> Iterator[str]:
    limit, policy = int(info["maxmemory"]), str(info["maxmemory_policy"])
    if limit and policy != "noeviction":
        yield (
            f"Redis forgets counters and clients when its memory is full (maxmemory-policy {policy}). "
            "Set maxmemory-policy to noeviction."
        )
    if limit and int(info["used_memory"]) > NEARLY_FULL * limit:
        yield "The memory of Redis is nearly full. When it is, no check can be decided there. Raise maxmemory."


def _about_disk(facts: Facts) -> Iterator[str]:
    info, settings = facts.info, facts.settings
    if "err" in (info.get("aof_last_write_status"), info.get("rdb_last_bgsave_status")):
        yield "Redis could not write to its disk. Look at its log, and at the space that is left."
    if int(info["aof_enabled"]) or int(info["connected_slaves"]):
        return
    if settings is None:
        yield (
            "Redis has no append-only file and no replica. Whether it takes snapshots is not known, since CONFIG is "
            "not allowed here. Without any, a restart forgets all counters."
        )
    elif not settings.get("save"):
        yield "Redis keeps nothing over a restart. Set appendonly to yes, or every counter begins anew then."
    else:
        yield "Redis keeps snapshots only: a restart forgets the counters since the last one. Set appendonly to yes."


def _about_replicas(facts: Facts) -> Iterator[str]:
    if facts.kind is Kind.SINGLE:
        return
    replicas = int(facts.info["connected_slaves"])
    if not replicas:
        yield "A master has no replica: if it is lost, nothing takes its place."
    # INFO has this line only where the setting is on.
    fenced = "min_slaves_good_slaves" in facts.info
    if facts.kind is Kind.SENTINEL and replicas and not fenced:
        yield (
            "A master that is cut off from its replicas goes on taking writes, which are lost. "
            "Set min-replicas-to-write to 1 and min-replicas-max-lag to 10 or less."
        )
    if facts.settings and facts.settings.get("cluster-require-full-coverage") == "yes" and facts.kind is Kind.CLUSTER:
        yield (
            "While one master of the Cluster is away, the others refuse too. Set cluster-require-full-coverage to no."
        )


class Advisor:
    """Looks now and then, in a thread, and remembers what it saw: whoever asks never waits."""

    def __init__(self, name: str) -> None:
        """``name`` is a URL, or an alias of ``CACHES``."""
        self._name = name
        self._seen: list[str] = []
        renewed_when_forked(self)

    def renew(self) -> None:
        self._next_look = 0.0
        self._looking = threading.Lock()

    def warnings(self) -> list[str]:
        """What was seen last; nothing before the first look has ended."""
        if time.monotonic() >= self._next_look and self._looking.acquire(blocking=False):
            threading.Thread(target=self._look, name="store-advice", daemon=True).start()
        return self._seen

    def _look(self) -> None:
        try:
            self._seen = self.look()
        except StoreError:
            # That it is away is said elsewhere, and what was seen before still holds.
            pass
        finally:
            self._next_look = time.monotonic() + LOOK_EVERY
            self._looking.release()

    def look(self) -> list[str]:
        """Looks now. Raises :class:`StoreUnavailable`."""
        location = location_of(self._name)
        redis = patient_client_of(location, PATIENCE)
        try:
            return warnings_of(redis, location.kind)
        finally:
            redis.close()


def advisor() -> Advisor:
    """The one of this process."""
    return _advisor(setting("REDIS"))


@once
def _advisor(name: str) -> Advisor:
    return Advisor(name)
