"""Fixtures of more than one folder."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.web import WebServer, start_web_server


@pytest.fixture
def web_servers() -> Iterator[Callable[[int], list[WebServer]]]:
    """Starts real web servers on this test's database (``transaction=True``) and Redis."""
    started: list[WebServer] = []

    def start(count: int) -> list[WebServer]:
        new = [start_web_server() for _ in range(count)]
        started.extend(new)
        return [server.wait_until_it_answers() for server in new]

    yield start
    for server in started:
        server.stop()
