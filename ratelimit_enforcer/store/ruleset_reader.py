"""Reads the published rulesets from Redis."""

from redis.exceptions import ResponseError

from ratelimit_enforcer.domain.ruleset import Ruleset, UnreadableRuleset, Version, digest_of
from ratelimit_enforcer.store import damage, scripts
from ratelimit_enforcer.store.connections.server import StoreConnections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import RulesetUnreadable, StoreDataError, StoreUnavailable, is_wrong_type
from ratelimit_enforcer.store.keys import TOKEN_ENCODING, Keys


class RulesetReader:
    """Reads the pointer and the rulesets, and updates shards that are behind."""

    def __init__(self, connections: StoreConnections, keys: Keys) -> None:
        self._connections = connections
        self._keys = keys

    def pointer(self, deadline: Deadline) -> str | None:
        """The token of the ruleset in force; None if there is none."""
        token = self._get(self._keys.pointer, deadline)
        return None if token is None else str(_parsed(token.decode(errors="replace")))

    def read(self, token: str, deadline: Deadline) -> tuple[Version, Ruleset]:
        """The ruleset of a token, with its digest verified. Raises :class:`StoreUnavailable`, and
        :class:`RulesetUnreadable` if this process cannot use the ruleset."""
        version = _parsed(token)
        data = self._get(self._keys.ruleset(token), deadline)
        if data is None or digest_of(data) != version.digest:
            raise StoreUnavailable(f"The ruleset of version {version.sequence} is incomplete in the store.")
        try:
            ruleset = Ruleset.from_bytes(data)
            ruleset.require_known_timezones()
        except UnreadableRuleset as error:
            raise RulesetUnreadable(
                f"Version {version.sequence} of the ruleset cannot be used by this process. {error}"
            ) from error
        return version, ruleset

    def _get(self, key: str, deadline: Deadline) -> bytes | None:
        try:
            value: bytes | None = self._connections.execute("GET", key, key=key, deadline=deadline)
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            raise _damaged() from error
        return value

    def move_token(self, shard: int, found: str, named: str, deadline: Deadline) -> None:
        """Replaces the token ``found`` in a shard by ``named``, the one that the pointer names. Raises
        :class:`StoreUnavailable`."""
        keys = [self._keys.shards[shard]]
        try:
            scripts.load("move_token").run(self._connections, keys, [found.encode(TOKEN_ENCODING), named], deadline)
        except ResponseError as error:
            if is_wrong_type(error):
                raise _damaged() from error
            # A user with the least permissions leaves this to the reconciler.
            if "NOPERM" not in str(error):
                raise
            raise StoreUnavailable(
                "A shard has an older version, and this Redis user has no permission to update it."
            ) from error


def _parsed(token: str) -> Version:
    """The version of a token. Raises :class:`StoreDataError` if the text is not a token."""
    try:
        return Version.parse(token)
    except ValueError as error:
        raise _damaged() from error


def _damaged() -> StoreDataError:
    damage.record(damage.RULES)
    return StoreDataError(damage.RULES, "The ruleset in Redis is damaged and will be published again.")
