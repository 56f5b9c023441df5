"""A description of the machine and the versions to which the figures belong."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

from redis import Redis

from limits.domain.server_versions import name_and_version

PACKAGES = ("django", "djangorestframework", "django-redis", "redis", "hiredis", "granian")


def described(redis: Redis) -> str:
    """``2 cores of …, 24 GiB, Linux; CPython 3.11.7, Redis 6.2.14, django 5.2.19, …``"""
    server = " ".join(name_and_version(redis.info("server")))
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{os.cpu_count()} cores{_model()}, {memory:.0f} GiB, {platform.system()}"
    return f"{machine}; {platform.python_implementation()} {platform.python_version()}, {server}, {packages}"


QUIET = 1.0


def sharing() -> str:
    """A sentence about other load on the machine, from the load average of the last minute. Call it before the
    benchmark causes load itself."""
    load = os.getloadavg()[0]
    if load < QUIET:
        return f"The machine was quiet (load {load:.1f} before it began)."
    return f"**The machine was shared with other work** (load {load:.1f} before it began)."


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f" ({names[0]})" if names else ""
