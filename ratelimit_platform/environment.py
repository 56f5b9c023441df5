"""Environment variables, typed, with the values of `make run` as a fallback.

`make run` writes variables that were not set into ``DATA_DIR/env``, so that `make web` in another
shell uses the same stores and the same secret. Variables of the real environment take precedence.
"""

import os
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from environs import Env, EnvError, validate

from ratelimit_enforcer.domain.rate import InvalidRate, parse_rate
from ratelimit_platform import env_file

BASE_DIR = Path(__file__).resolve().parent.parent

Value = TypeVar("Value")

# Values are literal: references to other variables are not expanded.
_env = Env(expand_vars=False)


def _read(read: Callable[..., Value], name: str, default: Value, **options: Any) -> Value:
    """The value of a variable; an empty variable counts as not set. Raises ``ImproperlyConfigured``, whose message
    names the variable but not its value."""
    if not os.environ.get(name):
        return default
    try:
        return read(name, **options)
    except EnvError as error:
        messages = " ".join(map(str, getattr(error, "error_messages", [])))
        raise ImproperlyConfigured(f"{name}: {messages}") from None


def _text(
    name: str, default: str = "", *, one_of: tuple[str, ...] = (), pattern: str = "", description: str = ""
) -> str:
    """A text that is one of ``one_of``, or that matches ``pattern``, which ``description`` describes in words."""
    checks: list[Any] = [validate.OneOf(one_of)] if one_of else []
    if pattern:
        # \Z and not $, which would accept a final line break.
        checks.append(validate.Regexp(rf"(?:{pattern})\Z", error=f"It must be {description}."))
    return _read(_env.str, name, default, validate=checks)


def _integer(name: str, default: int, *, minimum: int = 0, maximum: int | None = None) -> int:
    return _read(_env.int, name, default, validate=validate.Range(minimum, maximum))


def _number(name: str, default: float, *, above: float = 0.0, maximum: float | None = None) -> float:
    return _read(_env.float, name, default, validate=validate.Range(above, maximum, min_inclusive=False))


def _flag(name: str, default: bool) -> bool:
    """1, true, yes, on, or 0, false, no, off."""
    return _read(_env.bool, name, default)


def _texts(name: str, default: Sequence[str] = ()) -> list[str]:
    """Texts separated by commas; spaces around them are removed."""
    texts = _read(_env.list, name, list(default))
    return [text.strip() for text in texts if text.strip()]


def _networks(name: str, default: Sequence[str] = ()) -> list[str]:
    """Networks separated by commas, such as ``10.1.0.0/16``."""
    given = _texts(name, default)
    for text in given:
        try:
            ip_network(text)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name}: {error}.") from None
    return given


def _rate(name: str, default: str) -> str:
    """A rate as in the throttle classes, such as ``20/10m``."""
    given = _text(name, default)
    try:
        parse_rate(given)
    except InvalidRate as error:
        raise ImproperlyConfigured(f"{name}: {error}") from None
    return given


class Environment:
    """Reads environment variables as values of a type."""

    str = staticmethod(_text)
    int = staticmethod(_integer)
    float = staticmethod(_number)
    bool = staticmethod(_flag)
    list = staticmethod(_texts)
    networks = staticmethod(_networks)
    rate = staticmethod(_rate)


env = Environment()

DATA_DIR: Path = (BASE_DIR / env.str("DATA_DIR", ".data")).resolve()
ENV_FILE = DATA_DIR / "env"

for _name, _value in env_file.read(ENV_FILE).items():
    os.environ.setdefault(_name, _value)


def port() -> int:
    """The port of the web server. Raises ``ImproperlyConfigured``."""
    return env.int("PORT", 8000, minimum=1, maximum=65535)


def web_workers() -> int:
    """The number of the web server's processes. Raises ``ImproperlyConfigured``."""
    return env.int("WEB_WORKERS", 2, minimum=1, maximum=1000)


def gateway_port() -> int:
    """The port of the gateway's HTTP interface. Raises ``ImproperlyConfigured``."""
    return env.int("GATEWAY_PORT", 8081, minimum=1, maximum=65535)


def gateway_grpc_port() -> int:
    """The port of the gateway's gRPC interface; by default, the one after :func:`gateway_port`. Raises
    ``ImproperlyConfigured``."""
    return env.int("GATEWAY_GRPC_PORT", gateway_port() + 1, minimum=1, maximum=65535)


def gateway_workers() -> int:
    """The number of the gateway's processes. Raises ``ImproperlyConfigured``."""
    return env.int("GATEWAY_WORKERS", 2, minimum=1, maximum=1000)


def required(name: str, what_to_do: str) -> str:
    """The value of a variable without a default. Raises ``ImproperlyConfigured``."""
    value = env.str(name)
    if not value:
        raise ImproperlyConfigured(f"{name} is not set. {what_to_do}")
    return value
