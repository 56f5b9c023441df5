"""The platform of a test: reads from the store the rules and clients that are in force."""

import secrets
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from limits.store.client import control_client_of
from limits.store.clients import ClientWriter
from limits.store.ruleset_writer import RulesetWriter
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.ruleset import Ruleset, Version
from ratelimit_enforcer.store.connections.redis_url import parse
from ratelimit_enforcer.store.keys import Keys, client_field, shard_of
from ratelimit_platform.embedded.redis import free_port


class Platform:
    """The platform of one test: a namespace in Redis, to which the settings point."""

    def __init__(self, settings: Settings, url: str) -> None:
        self._settings = settings
        self.namespace = f"test-{secrets.token_hex(4)}"
        self.keys = Keys(self.namespace)
        self.use(url)

    def use(self, url: str) -> None:
        """Publishes to this Redis from now on."""
        self.url = url
        self.redis = control_client_of(parse(url))
        self.rules = RulesetWriter(self.redis, self.keys)
        self.clients = ClientWriter(self.redis, self.keys)
        self._configure(url)

    def _configure(self, url: str) -> None:
        self._settings.RATELIMIT_PLATFORM = {"REDIS": url, "NAMESPACE": self.namespace, "CHECK_DEADLINE": 10}

    def make_store_unavailable(self) -> None:
        """Points the settings to a port without a listener."""
        self._configure(f"redis://127.0.0.1:{free_port()}/0")

    def make_store_available(self) -> None:
        """Points the settings to the store again, with its data unchanged."""
        self._configure(self.url)

    @property
    def version(self) -> Version | None:
        return self.rules.pointer()

    @property
    def sequence(self) -> int:
        """The number of the version in force; 0 if there is none."""
        return self.version.sequence if self.version else 0

    @property
    def ruleset(self) -> Ruleset:
        """The rules in force, on every shard."""
        tokens = {mark.token for mark in self.rules.shard_states()}
        assert tokens == {str(self.version)}, "not every shard names the rules in force"
        return Ruleset.from_bytes(self.redis.get(self.keys.ruleset(str(self.version))))

    @property
    def quotas(self) -> dict[str, int]:
        """The first quota of each policy in force."""
        return {policy.slug: policy.limits[0].quota for policy in self.ruleset.policies}

    @property
    def is_complete(self) -> bool:
        """Whether every shard is marked as having all of its clients."""
        return all(mark.complete for mark in self.rules.shard_states())

    def client(self, key: str) -> ClientRecord | None:
        """A client's record; None if none was ever written."""
        text = self.redis.hget(self.keys.shards[shard_of(key)], client_field(key))
        return ClientRecord.from_text(key, text.decode()) if text is not None else None

    def is_registered(self, key: str) -> bool:
        """Whether the store has a record of this client that is not a tombstone."""
        record = self.client(key)
        return record is not None and not record.deleted

    def content(self) -> dict[bytes, bytes]:
        """Every key of this platform with its value, as Redis serialises it."""
        names = list(self.redis.scan_iter(f"{self.namespace}:*", count=1_000))
        return {name: self.redis.dump(name) for name in names}

    def empty(self) -> None:
        """Deletes all keys of this platform."""
        if names := list(self.redis.scan_iter(f"{self.namespace}:*", count=1_000)):
            self.redis.delete(*names)


@pytest.fixture
def platform(db: None, settings: Settings, redis_url: str) -> Iterator[Platform]:
    """An empty platform, to which this process publishes."""
    platform = Platform(settings, redis_url)
    yield platform
    platform.empty()
    platform.redis.close()
