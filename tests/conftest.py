"""Fixtures of more than one folder."""

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from limits.store import ruleset_writer
from tests.end_to_end.browser import browser
from tests.support.emptying import keep_what_the_code_defines
from tests.support.web import WebServer, running_servers

# One browser for all folders: a process can run Playwright once.
__all__ = ["browser"]

# A log line for each request would hide the output of a failing test.
for name in ("httpx", "httpcore", "mail.log"):
    logging.getLogger(name).setLevel(logging.WARNING)

keep_what_the_code_defines()

# One iteration instead of a million, which takes 0.4 s for each user of a test.
PBKDF2PasswordHasher.iterations = 1

# Otherwise every test client scans all static files, although it requests none.
settings.WHITENOISE_AUTOREFRESH = True

# On a busy machine a replica may confirm later than the publisher waits by default.
ruleset_writer.REPLICA_WAIT_MS = 10_000

# Nothing that is imported or collected is garbage, and the garbage collector would look at all of it again and again.
gc.disable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Excludes from now on what exists before the first test: 450,000 objects in a run of the whole suite."""
    gc.freeze()
    gc.enable()


@pytest.fixture
def web_servers() -> Iterator[Callable[..., list[WebServer]]]:
    """Starts real web servers on this test's database (``transaction=True``) and Redis."""
    with ExitStack() as running:
        yield lambda count, **options: running.enter_context(running_servers(count, **options))
