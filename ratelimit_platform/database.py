"""``DATABASE_URL``, read by libpq itself: the URL means what it means to psql and psycopg."""

import os
import re
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

_SERVER_OPTIONS = "-c statement_timeout=60000 -c lock_timeout=10000"
_CONNECT_WITHIN = "5"
_EXAMPLE = (
    "Example: postgresql://user:password@host:5432/name?sslmode=verify-full. "
    "Characters of a password such as @ : / ? % must be percent-encoded (/ is %2F)."
)
_NAMES = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}


def database(url: str) -> dict[str, Any]:
    """An entry of ``DATABASES``. What the URL says after its ``?`` holds, and then libpq's own variables
    (``PGSSLMODE``, …). Raises ``ImproperlyConfigured``, which shows no part of the URL."""
    given = _read(url)
    options = {name: value for name, value in given.items() if name not in _NAMES}
    return {
        "ENGINE": "django.db.backends.postgresql",
        **{key: str(given.get(name) or "") for name, key in _NAMES.items()},
        "NAME": _name(given),
        "OPTIONS": options | _our_options(options),
        # Kept for the next request of the same thread; checks use none at all.
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


def _read(url: str) -> dict[str, Any]:
    match = re.fullmatch(r"postgres(?:ql)?://(?P<authority>[^/?]*)(?P<path>[^?]*)(?:\?.*)?", url)
    if match is None:
        raise ImproperlyConfigured(f"DATABASE_URL does not begin with postgresql://. {_EXAMPLE}")
    # Part of a password that holds such a character unencoded would be taken for host, port or name, and be shown.
    if match["authority"].count("@") > 1 or "@" in match["path"]:
        raise ImproperlyConfigured(f"DATABASE_URL has an @ where none belongs. {_EXAMPLE}")
    try:
        given = conninfo_to_dict(url)
    except ProgrammingError:
        raise ImproperlyConfigured(f"DATABASE_URL is not understood by libpq. {_EXAMPLE}") from None
    if any("@" in host.lstrip("@") for host in str(given.get("host") or "").split(",") if not host.startswith("/")):
        raise ImproperlyConfigured(f"DATABASE_URL has an @ where none belongs. {_EXAMPLE}")
    _check_ports(str(given.get("port") or ""))
    return given


def _check_ports(ports: str) -> None:
    for port in filter(None, ports.split(",")):
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise ImproperlyConfigured(f"DATABASE_URL: a port is not a number from 1 to 65535. {_EXAMPLE}")


def _name(given: dict[str, Any]) -> str:
    """The database: libpq's own rule where the URL names none, but Django wants to know it."""
    if given.get("dbname") or given.get("service") or os.environ.get("PGSERVICE"):
        return str(given.get("dbname") or "")
    defaults = _defaults()
    return str(defaults.get("dbname") or given.get("user") or defaults.get("user") or "")


def _our_options(options: dict[str, Any]) -> dict[str, Any]:
    """Limits on waiting, where neither the URL nor the environment has its own."""
    defaults = _defaults()
    server = options.get("options") or defaults.get("options") or ""
    patience = options.get("connect_timeout") or defaults.get("connect_timeout") or _CONNECT_WITHIN
    return {"options": f"{_SERVER_OPTIONS} {server}".strip(), "connect_timeout": patience}


def _defaults() -> dict[str, str]:
    return {option.keyword.decode(): (option.val or b"").decode() for option in Conninfo.get_defaults() if option.val}
