"""Chromium of this machine, for the browser tests and the screenshots."""

import shutil

PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")
"""The first uses the least processor time."""


def chromium() -> str:
    """Returns its path. Fails if it is not installed."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert found, "The browser tests need Chromium: apt-get install chromium-headless-shell"
    return found
