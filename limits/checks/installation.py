"""Whether this package is alone under its name."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

from django.core.checks import CheckMessage, Error


def installation_problems() -> Iterator[CheckMessage]:
    """E009: PyPI's library ``limits`` (which slowapi and Flask-Limiter use) has the same folder."""
    try:
        other = distribution("limits")
    except PackageNotFoundError:
        return
    yield Error(
        f"The library “limits” {other.version} of PyPI is installed beside ratelimit-platform; both are imported as "
        "“limits”, and each has overwritten files of the other.",
        hint="Uninstall both, then install ratelimit-platform. What needs the library (slowapi, Flask-Limiter) needs "
        "an environment of its own.",
        id="limits.E009",
    )
