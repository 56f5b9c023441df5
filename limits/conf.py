"""``settings.RATELIMIT_PLATFORM``: every key, typed, with its default."""

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from limits.once import forget, once

DEFAULTS: dict[str, Any] = {
    # False: views are not limited and no store is asked, for a project's own tests.
    "ENABLED": True,
    # An alias of CACHES, or a Redis URL.
    "REDIS": "default",
    # What every key begins with; two platforms on one Redis differ in it.
    "NAMESPACE": "rl",
    # Whose the logs of the throttle classes with rates of their own are; two projects on one Redis
    # differ in it. Empty: the name of the settings module.
    "PROJECT": "",
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
    # For how many days rows of usage are kept: by minute, by hour and by day.
    "KEEP_MINUTES": 2,
    "KEEP_HOURS": 60,
    "KEEP_DAYS": 730,
    # Networks whose callers may read /metrics without a token, such as "10.1.0.0/16".
    "METRICS_NETWORKS": (),
    # Signs what webhooks get: "whsec_" and at least 24 bytes in base64 (Standard Webhooks).
    "WEBHOOK_SECRET": "",
    # Networks that webhooks may reach beside public addresses, such as "10.1.0.0/16".
    "WEBHOOK_ALLOWED_NETWORKS": (),
    # The older X-RateLimit-* headers: "off", "beside" the standard ones or "instead" of them.
    "LEGACY_HEADERS": "off",
    # Whether pages of other origins may read all these headers (Access-Control-Expose-Headers).
    "EXPOSE_HEADERS": False,
}


Kept = TypeVar("Kept")


def kept(function: Callable[[], Kept]) -> Callable[[], Kept]:
    """A decorator for what follows from the settings: worked out once, and anew where a test changes them."""
    kept = once(function)
    setting_changed.connect(lambda **_: forget(kept), weak=False)
    return kept


def setting(name: str) -> Any:
    """The value of one key. Raises ``ImproperlyConfigured`` for a key that does not exist."""
    return _settings()[name]


@kept
def _settings() -> Mapping[str, Any]:
    given = getattr(settings, "RATELIMIT_PLATFORM", {})
    if not given.keys() <= DEFAULTS.keys():
        unknown = ", ".join(sorted(given.keys() - DEFAULTS.keys()))
        raise ImproperlyConfigured(f"RATELIMIT_PLATFORM has unknown keys: {unknown}.")
    return DEFAULTS | given


@kept
def project() -> str:
    """``PROJECT``, by default the name of the settings module."""
    module = getattr(settings, "SETTINGS_MODULE", None) or os.environ.get("DJANGO_SETTINGS_MODULE", "")
    return str(setting("PROJECT") or module)


def networks(name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks that one key names. Raises ``ImproperlyConfigured`` for what is none."""
    return _networks(name, tuple(setting(name)))


@lru_cache(maxsize=16)
def _networks(name: str, given: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(network) for network in given)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}.") from error
