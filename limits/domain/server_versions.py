"""Versions of Redis and Valkey, and those with known vulnerabilities in scripting.

As of 2026-11: CVE-2025-49844, 46817, 46818 and 46819 (fixed in October 2025: Redis 6.2.20, 7.2.11, 7.4.6,
8.0.4, 8.2.2; Valkey 7.2.11, 8.0.6, 8.1.4), CVE-2025-67733 (Valkey 9.0.3 and the corresponding releases) and
CVE-2026-23631 (May 2026: Redis 7.2.14, 7.4.9, 8.2.6, 8.4.3, 8.6.3; Valkey 7.2.13, 8.0.9, 8.1.7, 9.0.4). Redis
6.2 is not affected by the last one. Series that are not listed ended before the fix, or began after it.
"""

import re
from collections.abc import Mapping
from typing import Any

_FIRST_FIXED = {
    "Redis": ((6, 2, 20), (7, 2, 14), (7, 4, 9), (8, 2, 6), (8, 4, 3), (8, 6, 3)),
    "Valkey": ((7, 2, 13), (8, 0, 9), (8, 1, 7), (9, 0, 4)),
}
"""The first release of each series with all of the fixes."""

FIXED_RELEASES = "Redis 7.4.9, 8.2.6, 8.4.3 or 8.6.3, Valkey 8.1.7 or 9.0.4, or a later release of these"


def name_and_version(info: Mapping[str, Any]) -> tuple[str, str]:
    """Returns name and version from ``INFO server``, such as ("Redis", "7.0.15"). Valkey also reports itself
    as Redis 7.2.4."""
    if info.get("server_name") == "valkey":
        return "Valkey", str(info["valkey_version"])
    return "Redis", str(info["redis_version"])


def version_numbers(version: str) -> tuple[int, ...]:
    """Returns the first three numbers of a version: ``"8.1.0-rc1"`` → (8, 1, 0)."""
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def is_vulnerable(name: str, version: tuple[int, ...]) -> bool:
    """Whether this release is known to be vulnerable. The distribution may have backported the fix."""
    series: dict[tuple[int, ...], tuple[int, ...]] = {first[:2]: first for first in _FIRST_FIXED[name]}
    first = series.get(version[:2])
    return version < first if first else version < max(_FIRST_FIXED[name])
