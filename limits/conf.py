"""``settings.RATELIMIT_PLATFORM``: every key, typed, with its default."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

DEFAULTS: dict[str, Any] = {
    # An alias of CACHES, or a Redis URL.
    "REDIS": "default",
    # What every key begins with; two platforms on one Redis differ in it.
    "NAMESPACE": "rl",
    # Seconds for one whole check: pool, reload and second call included.
    "CHECK_DEADLINE": 0.1,
    # Connections of one process to Redis, at most.
    "MAX_CONNECTIONS": 64,
    # Client records that one process holds, at most.
    "CLIENT_CACHE_SIZE": 10_000,
    # New usage counts that each of the 256 buckets takes in a minute; further clients that are not
    # registered are then counted together.
    "COUNTS_PER_BUCKET": 128,
    # Dotted path of a callable: the request → the client's key. Empty: the user, else the address.
    "CLIENT_IDENTIFIER": "",
    # Where no rules can be asked: "allow" admits, "deny" answers 503. That is where no ruleset was
    # ever seen, and for the throttle classes with rates of their own while the store is away.
    "WITHOUT_RULESET": "allow",
    # Where people reach the admin, for the links in mails.
    "PUBLIC_URL": "http://127.0.0.1:8000",
    # The older X-RateLimit-* headers: "off", "beside" the standard ones or "instead" of them.
    "LEGACY_HEADERS": "off",
}


def setting(name: str) -> Any:
    """The value of one key. Raises ``ImproperlyConfigured`` for a key that does not exist."""
    given = getattr(settings, "RATELIMIT_PLATFORM", {})
    if unknown := sorted(set(given) - set(DEFAULTS)):
        raise ImproperlyConfigured(f"RATELIMIT_PLATFORM has unknown keys: {', '.join(unknown)}.")
    return given.get(name, DEFAULTS[name])
