"""Fixtures of more than one folder."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from limits.store import ruleset_writer
from tests.support.emptying import keep_what_the_code_defines
from tests.support.web import WebServer, running_servers

# A line for each request would hide what a failing test has to say.
for name in ("httpx", "httpcore", "mail.log"):
    logging.getLogger(name).setLevel(logging.WARNING)

keep_what_the_code_defines()

# One round in place of a million, which take four tenths of a second for each user of a test.
PBKDF2PasswordHasher.iterations = 1

# Otherwise every test client looks at every static file, of which it asks for none.
settings.WHITENOISE_AUTOREFRESH = True

# On a busy machine a replica may take longer than a publisher waits.
ruleset_writer.REPLICA_WAIT_MS = 10_000


@pytest.fixture
def web_servers() -> Iterator[Callable[..., list[WebServer]]]:
    """Starts real web servers on this test's database (``transaction=True``) and Redis."""
    with ExitStack() as running:
        yield lambda count, **options: running.enter_context(running_servers(count, **options))
