"""Tests of a file with ``pytestmark = pytest.mark.xdist_group("…")`` run in one process, so that what they share is
started once. Loaded as a pytest plugin.

pytest-xdist 3.8 ignores these marks with pytest 9.2 (https://github.com/pytest-dev/pytest-xdist/issues/1386).
"""

import functools
import re
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parents[1]
MARK = re.compile(r'^pytestmark = .*\bxdist_group\("(.+?)"\)', re.MULTILINE)


class GroupScheduling(LoadScopeScheduling):
    """Each group is assigned to one process as a whole, each other test separately."""

    def _split_scope(self, nodeid: str) -> str:
        return _group_of(nodeid.partition("::")[0]) or nodeid


@functools.cache
def _group_of(file: str) -> str | None:
    """The group in the text of the file, because the process that distributes the tests does not import them."""
    found = MARK.search((ROOT / file).read_text(encoding="utf-8"))
    return found and found[1]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    """Replaces the scheduler of ``--dist loadgroup``."""
    return GroupScheduling(config, log)
