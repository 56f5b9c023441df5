"""``DATABASE_URL``, parsed by libpq: the URL has the same meaning as for psql and psycopg."""

import os
import re
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

_SERVER_OPTIONS = "-c statement_timeout=60000 -c lock_timeout=10000"
_CONNECT_TIMEOUT_SECONDS = "5"
_EXAMPLE = (
    "Example: postgresql://user:password@host:5432/name?sslmode=verify-full. "
    "Characters of a password such as @ : / ? % must be percent-encoded (/ is %2F)."
)
_NAMES = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}


def database(url: str) -> dict[str, Any]:
    """An entry of ``DATABASES``. Options after the ``?`` of the URL take precedence over libpq's own variables
    (``PGSSLMODE``, …). Raises ``ImproperlyConfigured``, whose message quotes no part of the URL."""
    given = _read(url)
    options = {name: value for name, value in given.items() if name not in _NAMES}
    return {
        "ENGINE": "django.db.backends.postgresql",
        **{key: str(given.get(name) or "") for name, key in _NAMES.items()},
        "NAME": _name(given),
        "OPTIONS": options | _timeouts(options),
        # Kept open for the next request of the same thread; checks use no connection at all.
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


def _read(url: str) -> dict[str, Any]:
    match = re.fullmatch(r"postgres(?:ql)?://(?P<authority>[^/?]*)(?P<path>[^?]*)(?:\?.*)?", url)
    if match is None:
        raise ImproperlyConfigured(f"DATABASE_URL does not begin with postgresql://. {_EXAMPLE}")
    # An unencoded character in a password would make part of the password look like a host, port or name.
    if match["authority"].count("@") > 1 or "@" in match["path"]:
        raise ImproperlyConfigured(f"DATABASE_URL has an @ in the wrong place. {_EXAMPLE}")
    try:
        given = conninfo_to_dict(url)
    except ProgrammingError:
        raise ImproperlyConfigured(f"DATABASE_URL is rejected by libpq. {_EXAMPLE}") from None
    if any("@" in host.lstrip("@") for host in str(given.get("host") or "").split(",") if not host.startswith("/")):
        raise ImproperlyConfigured(f"DATABASE_URL has an @ in the wrong place. {_EXAMPLE}")
    _check_ports(str(given.get("port") or ""))
    return given


def _check_ports(ports: str) -> None:
    for port in filter(None, ports.split(",")):
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise ImproperlyConfigured(f"DATABASE_URL: a port is not a number from 1 to 65535. {_EXAMPLE}")


def _name(given: dict[str, Any]) -> str:
    """The name of the database. If the URL names none, libpq's own default, which Django needs to know."""
    if given.get("dbname") or given.get("service") or os.environ.get("PGSERVICE"):
        return str(given.get("dbname") or "")
    defaults = _defaults()
    return str(defaults.get("dbname") or given.get("user") or defaults.get("user") or "")


def _timeouts(options: dict[str, Any]) -> dict[str, Any]:
    """Timeouts, unless the URL or the environment sets others."""
    defaults = _defaults()
    server = options.get("options") or defaults.get("options") or ""
    timeout = options.get("connect_timeout") or defaults.get("connect_timeout") or _CONNECT_TIMEOUT_SECONDS
    return {"options": f"{_SERVER_OPTIONS} {server}".strip(), "connect_timeout": timeout}


def _defaults() -> dict[str, str]:
    return {option.keyword.decode(): (option.val or b"").decode() for option in Conninfo.get_defaults() if option.val}
