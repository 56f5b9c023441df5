"""The machine and the versions that figures belong to, in plain words."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

from redis import Redis

PACKAGES = ("django", "djangorestframework", "django-redis", "redis", "hiredis", "granian")


def described(redis: Redis) -> str:
    """``2 cores of …, 24 GiB, Linux; CPython 3.11.7, Redis 6.2.14, django 5.2.19, …``"""
    server = redis.info("server")["redis_version"]
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{os.cpu_count()} cores{_model()}, {memory:.0f} GiB, {platform.system()}"
    return f"{machine}; {platform.python_implementation()} {platform.python_version()}, Redis {server}, {packages}"


def load() -> float:
    """How many processes wanted to run during the last minute: beyond what we do ourselves (about
    two), somebody else's."""
    return os.getloadavg()[0]


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f" ({names[0]})" if names else ""
