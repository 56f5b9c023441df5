"""The environment, with what `make run` set up as its fallback.

`make run` writes what was not given to it into ``DATA_DIR/env``, so that `make web` in another
shell joins the same stores with the same secret. A variable of the real environment goes first.
"""

from pathlib import Path

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
