"""Celery's message broker: kombu's configuration, derived from a Redis URL that was parsed once.

kombu parses Redis URLs differently from redis-py: by default it verifies no certificate, and it takes
everything after a ``?`` for part of the database number. So kombu gets a URL without options, and the
options separately, as values.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from redis.backoff import NoBackoff
from redis.retry import Retry

from ratelimit_enforcer.store.connections.redis_url import SCHEMES, Kind, Location, parse

_SOCKET_OPTIONS = ("socket_timeout", "socket_connect_timeout", "socket_keepalive", "client_name")


@dataclass(frozen=True)
class Broker:
    """Celery's ``broker_url``, ``broker_use_ssl`` and ``broker_transport_options``."""

    url: str
    use_ssl: dict[str, Any] | None = None
    transport_options: dict[str, Any] = field(default_factory=dict)


def default_broker(redis_url: str) -> Broker:
    """The default broker: the same Redis as the store, with the next database number. Raises
    ``ImproperlyConfigured``."""
    location = _parse("REDIS_URL", redis_url)
    if location.kind is Kind.CLUSTER:
        raise ImproperlyConfigured(
            "CELERY_BROKER_URL is not set. It is required if REDIS_URL is a Cluster, which Celery cannot use."
        )
    return _broker_of(location, location.database + 1)


def named_broker(url: str) -> Broker:
    """The broker of ``CELERY_BROKER_URL``. Redis URLs have the same meaning as in ``REDIS_URL``; any other URL
    is passed to kombu. Raises ``ImproperlyConfigured``."""
    if url.partition("://")[0] in SCHEMES:
        location = _parse("CELERY_BROKER_URL", _with_names_of_redis_py(url))
        if location.kind is Kind.CLUSTER:
            raise ImproperlyConfigured("CELERY_BROKER_URL names a Redis Cluster, which Celery cannot use.")
        return _broker_of(location, location.database)
    _check_other(url)
    return Broker(url)


def _parse(variable: str, url: str) -> Location:
    try:
        return parse(url)
    except ImproperlyConfigured as error:
        raise ImproperlyConfigured(str(error).replace("The store's URL", variable, 1)) from None


def _with_names_of_redis_py(url: str) -> str:
    """Translates ``ssl_cert_reqs=CERT_REQUIRED``, as in Celery's documentation, to ``required``."""
    return re.sub(r"(?<=[?&]ssl_cert_reqs=)CERT_(NONE|OPTIONAL|REQUIRED)\b", lambda name: name[1].lower(), url)


def _check_other(url: str) -> None:
    if url.startswith("sentinel://"):
        raise ImproperlyConfigured(
            "CELERY_BROKER_URL: specify Sentinels as in REDIS_URL, with the name of the service: "
            "redis+sentinel://10.0.0.1:26379,10.0.0.2:26379/mymaster/1"
        )
    try:
        parts = urlsplit(url)
        is_understood = bool(parts.scheme) and (parts.port or 1) > 0
    except ValueError:
        is_understood = False
    if not is_understood:
        raise ImproperlyConfigured(
            "CELERY_BROKER_URL is invalid. Characters of a password such as @ : / ? # must be percent-encoded."
        )


def _broker_of(location: Location, database: int) -> Broker:
    options = {name: value for name, value in location.options.items() if name in _SOCKET_OPTIONS}
    if location.kind is Kind.SENTINEL:
        options |= {"master_name": location.service, "sentinel_kwargs": _sentinel_options(location)}
    return Broker(_url(location, database), _ssl_options(location), options)


def _url(location: Location, database: int) -> str:
    user = _user_part(location.options)
    if path := location.options.get("path"):
        return f"redis+socket://{user}{quote(path)}?virtual_host={database}"
    scheme = "rediss" if location.has_tls else "redis"
    nodes = [(location.options.get("host", "localhost"), location.options.get("port", 6379))]
    if location.kind is Kind.SENTINEL:
        scheme, nodes = "sentinel", list(location.nodes)
    return ";".join(f"{scheme}://{user}{_host(host)}:{port}/{database}" for host, port in nodes)


def _user_part(options: Mapping[str, Any]) -> str:
    user, password = (quote(options.get(name) or "", safe="") for name in ("username", "password"))
    return f"{user}:{password}@" if user or password else ""


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else quote(host)


def _ssl_options(location: Location) -> dict[str, Any] | None:
    """The TLS options of the connection class, which kombu shares with redis-py. Never empty with TLS:
    otherwise kombu would verify no certificate."""
    if not location.has_tls:
        return None
    given = {name: value for name, value in location.options.items() if name.startswith("ssl_")}
    return {"ssl_cert_reqs": "required"} | given


def _sentinel_options(location: Location) -> dict[str, Any]:
    """The options of redis-py's client with which kombu asks the Sentinels. An unavailable Sentinel is asked a
    second time, because it may have closed an old connection, but not ten times: kombu then asks the next one."""
    names = ("username", "password", *_SOCKET_OPTIONS)
    given = {name: value for name, value in location.sentinel_options.items() if name in names}
    given["retry"] = Retry(NoBackoff(), 1)
    return given | ({"ssl": True} | (_ssl_options(location) or {}) if location.has_tls else {})
