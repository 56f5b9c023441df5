"""The environment, typed, with what `make run` set up as its fallback.

`make run` writes what was not given to it into ``DATA_DIR/env``, so that `make web` in another
shell joins the same stores with the same secret. A variable of the real environment goes first.
"""

import os
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured
from environs import Env, EnvError, validate

from limits.domain.rate import InvalidRate, parse_rate
from ratelimit_platform import env_file

BASE_DIR = Path(__file__).resolve().parent.parent

Value = TypeVar("Value")

# A value is taken literally.
_env = Env(expand_vars=False)


def _read(read: Callable[..., Value], name: str, default: Value, **options: Any) -> Value:
    """An empty variable counts as not set. Raises ``ImproperlyConfigured``, which names the variable
    and not its value."""
    if not os.environ.get(name):
        return default
    try:
        return read(name, **options)
    except EnvError as error:
        messages = " ".join(map(str, getattr(error, "error_messages", [])))
        raise ImproperlyConfigured(f"{name}: {messages}") from None


def _text(name: str, default: str = "", *, among: tuple[str, ...] = (), pattern: str = "", what: str = "") -> str:
    """One of ``among``, or what matches ``pattern``, which ``what`` puts into words."""
    checks: list[Any] = [validate.OneOf(among)] if among else []
    if pattern:
        # To the end: $ would let a line end pass.
        checks.append(validate.Regexp(rf"(?:{pattern})\Z", error=f"It must be {what}."))
    return _read(_env.str, name, default, validate=checks)


def _whole(name: str, default: int, *, least: int = 0, most: int | None = None) -> int:
    return _read(_env.int, name, default, validate=validate.Range(least, most))


def _number(name: str, default: float, *, above: float = 0.0, most: float | None = None) -> float:
    return _read(_env.float, name, default, validate=validate.Range(above, most, min_inclusive=False))


def _flag(name: str, default: bool) -> bool:
    """1, true, yes, on, or 0, false, no, off."""
    return _read(_env.bool, name, default)


def _texts(name: str, default: Sequence[str] = ()) -> list[str]:
    """Texts with commas between them; spaces around them do not count."""
    texts = _read(_env.list, name, list(default))
    return [text.strip() for text in texts if text.strip()]


def _networks(name: str) -> list[str]:
    """Networks with commas between them, ``10.1.0.0/16``."""
    given = _texts(name)
    for text in given:
        try:
            ip_network(text)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name}: {error}.") from None
    return given


def _rate(name: str, default: str) -> str:
    """A rate as the throttle classes take it, ``20/10m``."""
    given = _text(name, default)
    try:
        parse_rate(given)
    except InvalidRate as error:
        raise ImproperlyConfigured(f"{name}: {error}") from None
    return given


class Environment:
    """Variables by name, typed."""

    str = staticmethod(_text)
    int = staticmethod(_whole)
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


def required(name: str, what_to_do: str) -> str:
    """The value of a variable that has no default. Raises ``ImproperlyConfigured``."""
    value = env.str(name)
    if not value:
        raise ImproperlyConfigured(f"{name} is not set. {what_to_do}")
    return value
