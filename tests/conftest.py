"""Fixtures of more than one folder."""

import logging
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from limits.store import replicas
from tests.support.emptying import keep_what_the_code_defines
from tests.support.web import WebServer, start_web_server

# A line for each request would hide what a failing test has to say.
for name in ("httpx", "httpcore", "mail.log"):
    logging.getLogger(name).setLevel(logging.WARNING)

keep_what_the_code_defines()

# One round in place of a million, which take four tenths of a second for each user of a test.
PBKDF2PasswordHasher.iterations = 1

# Otherwise every test client looks at every static file, of which it asks for none.
settings.WHITENOISE_AUTOREFRESH = True

# On a busy machine a replica may take longer than a publisher waits.
replicas.WAIT_MS = 10_000


@pytest.fixture
def web_servers() -> Iterator[Callable[..., list[WebServer]]]:
    """Starts real web servers on this test's database (``transaction=True``) and Redis."""
    started: list[WebServer] = []

    def start(count: int, *, workers: int = 1, **variables: str) -> list[WebServer]:
        new = [start_web_server(workers, **variables) for _ in range(count)]
        started.extend(new)
        return [server.wait_until_it_answers() for server in new]

    yield start
    for server in started:
        server.stop()
