"""Warnings about the configuration of the store, as sentences for the operator.

Most of them are based on ``INFO``, so that a store with a forbidden ``CONFIG`` is checked too; settings that
only ``CONFIG`` shows are then reported as unknown.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from redis import Redis, exceptions

from limits.domain.server_versions import FIXED_RELEASES, is_vulnerable, name_and_version, version_numbers
from limits.store.client import ClusterClient, ControlClient, control_client_of
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.per_process import once, renew_after_fork
from ratelimit_enforcer.store.connections.factory import location_of
from ratelimit_enforcer.store.connections.redis_url import Kind
from ratelimit_enforcer.store.errors import StoreError, translating_redis_errors

OLDEST_SUPPORTED = (6, 2)
NEARLY_FULL = 0.9
CHECK_INTERVAL_SECONDS = 60.0
"""Seconds between two checks of one process."""

TIMEOUT_SECONDS = 0.5
"""Timeout in seconds for each server."""


@dataclass(frozen=True)
class ServerFacts:
    """Data that one master reports about itself. ``settings``: the result of ``CONFIG``; None if it is
    forbidden."""

    kind: Kind
    info: Mapping[str, Any]
    settings: Mapping[str, str] | None


def warnings_of(redis: ControlClient, kind: Kind) -> list[str]:
    """Returns a sentence for each setting to change. Raises :class:`StoreUnavailable`."""
    with translating_redis_errors():
        masters = redis.masters() if isinstance(redis, ClusterClient) else [redis]
        try:
            found = [sentence for master in masters for sentence in _sentences(_facts(master, kind))]
        except exceptions.NoPermissionError:
            found = ["Redis does not permit INFO, so the configuration of Redis cannot be checked."]
    return list(dict.fromkeys(found))


def _facts(master: Redis, kind: Kind) -> ServerFacts:
    info: dict[str, Any] = {}
    for section in ("server", "memory", "persistence", "replication"):
        info |= master.info(section)
    return ServerFacts(kind, info, _settings(master))


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


def _sentences(facts: ServerFacts) -> Iterator[str]:
    yield from _about_version(facts.info)
    yield from _about_memory(facts.info)
    yield from _about_disk(facts)
    yield from _about_replicas(facts)


def _about_version(info: Mapping[str, Any]) -> Iterator[str]:
    name, version = name_and_version(info)
    numbers = version_numbers(version)
    if name == "Redis" and numbers[:2] < OLDEST_SUPPORTED:
        yield f"Redis {version} is too old: version 6.2 or newer is required."
    elif is_vulnerable(name, numbers):
        yield (
            f"{name} {version} has known vulnerabilities in scripting (such as CVE-2025-49844, remote code execution), "
            f"unless your distribution has fixed them. Upgrade to {FIXED_RELEASES}."
        )


def _about_memory(info: Mapping[str, Any]) -> Iterator[str]:
    limit, policy = int(info["maxmemory"]), str(info["maxmemory_policy"])
    if limit and policy != "noeviction":
        yield (
            f"Redis evicts counters and clients when memory is full (maxmemory-policy {policy}). "
            "Set maxmemory-policy to noeviction."
        )
    if limit and int(info["used_memory"]) > NEARLY_FULL * limit:
        yield "The memory of Redis is nearly full. Redis cannot decide checks without free memory. Raise maxmemory."


def _about_disk(facts: ServerFacts) -> Iterator[str]:
    info, settings = facts.info, facts.settings
    if "err" in (info.get("aof_last_write_status"), info.get("rdb_last_bgsave_status")):
        yield "Redis could not write to disk. Check the log of Redis and the free disk space."
    if int(info["aof_enabled"]) or int(info["connected_slaves"]):
        return
    if settings is None:
        yield (
            "Redis has no append-only file and no replica. Redis does not permit CONFIG, so snapshots cannot be "
            "checked. Without snapshots, a restart loses all counters."
        )
    elif not settings.get("save"):
        yield "Redis stores nothing on disk: a restart loses all counters. Set appendonly to yes."
    else:
        yield "Redis stores snapshots only: a restart loses all counts since the last snapshot. Set appendonly to yes."


def _about_replicas(facts: ServerFacts) -> Iterator[str]:
    if facts.kind is Kind.SINGLE:
        return
    replicas = int(facts.info["connected_slaves"])
    if not replicas:
        yield "A master has no replica: if the master fails, no other server takes over."
    # INFO has this line only if the setting is on.
    fenced = "min_slaves_good_slaves" in facts.info
    if facts.kind is Kind.SENTINEL and replicas and not fenced:
        yield (
            "A master that is cut off from all replicas still accepts writes, which are then lost. "
            "Set min-replicas-to-write to 1 and min-replicas-max-lag to 10 or less."
        )
    if facts.settings and facts.settings.get("cluster-require-full-coverage") == "yes" and facts.kind is Kind.CLUSTER:
        yield (
            "If one master of the Cluster is down, all others reject commands. Set cluster-require-full-coverage to no."
        )


class Advisor:
    """Checks the store periodically, in a thread, and remembers the result, so that reading it never waits."""

    def __init__(self, name: str) -> None:
        """``name`` is a URL, or an alias in ``CACHES``."""
        self._name = name
        self._latest: list[str] = []
        renew_after_fork(self)

    def renew(self) -> None:
        self._next_check_at = 0.0
        self._checking = threading.Lock()

    def warnings(self) -> list[str]:
        """Returns the latest result; nothing before the first check is complete."""
        if time.monotonic() >= self._next_check_at and self._checking.acquire(blocking=False):
            threading.Thread(target=self._check_in_thread, name="store-advice", daemon=True).start()
        return self._latest

    def _check_in_thread(self) -> None:
        try:
            self._latest = self.check()
        except StoreError:
            # That the store is unavailable is reported elsewhere, and the last result still applies.
            pass
        finally:
            self._next_check_at = time.monotonic() + CHECK_INTERVAL_SECONDS
            self._checking.release()

    def check(self) -> list[str]:
        """Checks now, and returns the warnings. Raises :class:`StoreUnavailable`."""
        location = location_of(self._name)
        redis = control_client_of(location, TIMEOUT_SECONDS)
        try:
            return warnings_of(redis, location.kind)
        finally:
            redis.close()


def advisor() -> Advisor:
    """Returns the advisor of this process."""
    return _advisor(setting("REDIS"))


@once
def _advisor(name: str) -> Advisor:
    return Advisor(name)
