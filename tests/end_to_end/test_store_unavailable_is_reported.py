"""The store, which is also the broker, is killed: a real worker still sends the alert."""

from collections.abc import Callable, Iterator

import pytest

from limits.models import Message
from ratelimit_platform.embedded.redis import RedisServer
from tests.models import rows
from tests.support.celery import HASTY, CeleryProcess, wait_until_a_worker_waits
from tests.support.smtp import Mailbox, mailbox
from tests.support.waiting import wait_until

__all__ = ["mailbox"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(redis_server: Callable[..., RedisServer]) -> RedisServer:
    """The store and broker of the worker."""
    return redis_server()


@pytest.fixture
def worker(server: RedisServer, mailbox: Mailbox) -> Iterator[CeleryProcess]:
    """A worker that is ready for tasks."""
    email = f"smtp://127.0.0.1:{mailbox.port}"
    worker = CeleryProcess("worker", REDIS_URL=server.url, CELERY_BROKER_URL="", EMAIL_URL=email, **HASTY)
    with server.client as redis:
        wait_until_a_worker_waits(redis)
    yield worker
    worker.stop()


def test_a_worker_reports_the_unavailable_store(worker: CeleryProcess, server: RedisServer, mailbox: Mailbox) -> None:
    rows.alert_rule("platform", metric="platform", threshold=1)
    server.kill()
    mail = mailbox.next()
    assert mail["Subject"] == "platform: store unreachable"
    wait_until(lambda: Message.objects.filter(sent_at__isnull=False).exists())
    assert Message.objects.count() == 1
