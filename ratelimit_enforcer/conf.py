"""``settings.RATELIMIT_PLATFORM``: every key with its default."""

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, ParamSpec, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from ratelimit_enforcer.per_process import once, reset_once

DEFAULTS: dict[str, Any] = {
    # False: views are not limited and the store is not used, for a project's own tests.
    "ENABLED": True,
    # An alias of CACHES, or a Redis URL.
    "REDIS": "default",
    # Prefix of every key; two platforms on one Redis need different ones.
    "NAMESPACE": "rl",
    # The project that owns the logs of the throttle classes with rates; two projects on one Redis
    # need different ones. Empty: the name of the settings module.
    "PROJECT": "",
    # Seconds for one whole check, including the wait for a connection, a reload and a second call.
    "CHECK_DEADLINE": 0.1,
    # Maximum number of connections of one process to Redis.
    "MAX_CONNECTIONS": 64,
    # Maximum number of client records in the cache of one process.
    "CLIENT_CACHE_SIZE": 10_000,
    # New usage counts that each of the 256 shards accepts per minute; beyond that, further unregistered
    # clients are counted together.
    "COUNTS_PER_BUCKET": 128,
    # Values of its attributes that a policy counts separately in one window: for each client, or, if it does not
    # count clients separately, in all. Further values share one counter.
    "ATTRIBUTE_VALUES": 10_000,
    # Attribute → dotted path of a callable: request → the attribute's value (a string; None or empty: none).
    "ATTRIBUTES": {},
    # Dotted path of a callable: request → the client's key. Empty: the user, else the address.
    "CLIENT_IDENTIFIER": "",
    # Without rules, "allow" admits and "deny" answers 503. This applies until a ruleset was loaded, and
    # to the throttle classes with rates while the store is unavailable.
    "WITHOUT_RULESET": "allow",
    # Seconds for which a view may settle its reservation with a refund, 1 to 3,600.
    "RESERVATION_TTL": 3_600,
    # The part of a quota that failed requests may get back in each window, in one process, 0 to 1.
    "REFUND_SHARE": 0.1,
    # Whether changes of rules by users without the permission “publish_alone” need the approval of another user.
    "APPROVAL_REQUIRED": False,
    # URLs that receive a signed POST request when the approval of a change set is requested.
    "APPROVAL_WEBHOOKS": (),
    # The admin's URL, for the links in emails.
    "PUBLIC_URL": "http://127.0.0.1:8000",
    # Retention of usage in days: by minute, by hour and by day.
    "KEEP_MINUTES": 14,
    "KEEP_HOURS": 400,
    "KEEP_DAYS": 730,
    # Networks whose callers may read /metrics without a token, such as "10.1.0.0/16".
    "METRICS_NETWORKS": (),
    # Networks whose proxies may ask at /v1/forward-auth/ without a token, such as "10.1.0.0/16".
    "FORWARD_AUTH_NETWORKS": (),
    # Networks whose programs may check over gRPC without a token.
    "GATEWAY_NETWORKS": ("127.0.0.0/8", "::1/128"),
    # Where a request that a proxy asks about names its client: "header:X-API-Key" or "cookie:NAME". Empty: nowhere.
    "FORWARD_AUTH_CLIENT": "",
    # Whether that value is a secret: the client's key is then its digest.
    "FORWARD_AUTH_CLIENT_IS_SECRET": True,
    # Whether a value that names no registered client is accepted as a client's key.
    "FORWARD_AUTH_UNVERIFIED": False,
    # The key that signs webhooks: "whsec_" and at least 24 bytes in base64 (Standard Webhooks).
    "WEBHOOK_SECRET": "",
    # Networks that webhooks may reach in addition to public addresses, such as "10.1.0.0/16".
    "WEBHOOK_ALLOWED_NETWORKS": (),
    # The older X-RateLimit-* headers: "off", "beside" the standard ones or "instead" of them.
    "LEGACY_HEADERS": "off",
    # Whether pages of other origins may read all these headers (Access-Control-Expose-Headers).
    "EXPOSE_HEADERS": False,
}


Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")


def once_per_settings(function: Callable[[], Value]) -> Callable[[], Value]:
    """A decorator for values that follow from the settings: computed once, and again when a test changes them."""
    cached = once(function)
    setting_changed.connect(lambda **_: reset_once(cached), weak=False)
    return cached


def once_per_store(function: Callable[Arguments, Value]) -> Callable[Arguments, Value]:
    """:func:`once`, for a function of the name of a store: an alias means another one after a test changed
    ``CACHES``."""
    cached = once(function)

    def reset(*, setting: str, **_: Any) -> None:
        if setting == "CACHES":
            reset_once(cached)

    setting_changed.connect(reset, weak=False)
    return cached


def setting(name: str) -> Any:
    """The value of one key. Raises ``ImproperlyConfigured`` for a key that does not exist."""
    return _settings()[name]


@once_per_settings
def _settings() -> Mapping[str, Any]:
    given = getattr(settings, "RATELIMIT_PLATFORM", {})
    if not given.keys() <= DEFAULTS.keys():
        unknown = ", ".join(sorted(given.keys() - DEFAULTS.keys()))
        raise ImproperlyConfigured(f"RATELIMIT_PLATFORM has unknown keys: {unknown}.")
    return DEFAULTS | given


@once_per_settings
def project() -> str:
    """``PROJECT``, by default the name of the settings module."""
    module = getattr(settings, "SETTINGS_MODULE", None) or os.environ.get("DJANGO_SETTINGS_MODULE", "")
    return str(setting("PROJECT") or module)


def networks(name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks listed under one key. Raises ``ImproperlyConfigured`` for an invalid network."""
    return _networks(name, tuple(setting(name)))


@lru_cache(maxsize=16)
def _networks(name: str, given: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(network) for network in given)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}.") from error
