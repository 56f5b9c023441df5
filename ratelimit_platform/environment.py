"""The environment, with what `make run` set up as its fallback.

`make run` writes what was not given to it into ``DATA_DIR/env``, so that `make web` in another
shell joins the same stores with the same secret. A variable of the real environment goes first.
"""

import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()

DATA_DIR: Path = (BASE_DIR / env.str("DATA_DIR", ".data")).resolve()
ENV_FILE = DATA_DIR / "env"

if ENV_FILE.exists():
    env.read_env(ENV_FILE)


def required(name: str, what_to_do: str) -> str:
    """The value of a variable that has no default. Raises ``ImproperlyConfigured``."""
    value = env.str(name, "")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set. {what_to_do}")
    return str(value)


def database(url: str) -> dict[str, object]:
    """``DATABASE_URL`` as Django wants it; a host may be a socket's folder (``%2Ftmp%2Fpg``)."""
    config = dict(env.db_url_config(url))
    return config | {"HOST": unquote(str(config.get("HOST", "")))}


_SENTINELS = re.compile(
    r"redis\+sentinel://(?:(?P<user>[^@/?]*)@)?(?P<nodes>[^/?]+)/(?P<service>[^/?]+)(?:/(?P<db>\d*))?.*"
)


def broker_of(redis_url: str) -> str:
    """The default message broker: the same Redis, the next database number."""
    if redis_url.startswith("redis+sentinel://"):
        return _broker_of_sentinels(redis_url)
    if re.match(r"rediss?\+", redis_url):
        raise ImproperlyConfigured(
            "CELERY_BROKER_URL is not set. It is needed where REDIS_URL is a Cluster, which Celery cannot use, or "
            "rediss+sentinel://."
        )
    scheme, _, rest = redis_url.partition("://")
    if scheme == "unix":
        path, _, query = rest.partition("?db=")
        return f"redis+socket://{path}?virtual_host={int(query or 0) + 1}"
    server, _, number = rest.partition("/")
    return f"{scheme}://{server}/{int(number.partition('?')[0] or 0) + 1}"


def _broker_of_sentinels(redis_url: str) -> str:
    """As kombu has it: ``sentinel://host:port/db;sentinel://host:port/db``."""
    match = _SENTINELS.fullmatch(redis_url)
    if match is None:
        raise ImproperlyConfigured("REDIS_URL: after the addresses of the Sentinels comes the name of the service.")
    user = f"{match['user']}@" if match["user"] is not None else ""
    number = int(match["db"] or 0) + 1
    return ";".join(f"sentinel://{user}{node}/{number}" for node in match["nodes"].split(","))


def broker_options(redis_url: str) -> dict[str, object]:
    """What Celery's broker needs to know beside its URL, where it is the default one."""
    match = _SENTINELS.fullmatch(redis_url)
    if match is None:
        return {}
    query = dict(parse_qsl(redis_url.partition("?")[2]))
    own = {name: query.get(f"sentinel_{name}") for name in ("username", "password")}
    return {
        "master_name": unquote(match["service"]),
        "sentinel_kwargs": {name: value for name, value in own.items() if value},
    }
