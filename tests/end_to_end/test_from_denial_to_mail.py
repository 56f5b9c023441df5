"""From a denied request to an email, with a real worker, a real beat and a real SMTP server."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from limits.models import Alert, Message, Usage
from limits.monitoring.alerts import evaluate
from ratelimit_enforcer.domain.enums import Outcome
from tests.end_to_end.shop import ask, policy, publish
from tests.models import rows
from tests.support.celery import HASTY, CeleryProcess
from tests.support.smtp import Mailbox, mailbox
from tests.support.waiting import wait_until
from tests.support.web import WebServer

__all__ = ["mailbox"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def celery(servers: list[WebServer], mailbox: Mailbox) -> Iterator[None]:
    """A worker and a beat that send emails to the mailbox."""
    variables = HASTY | {"EMAIL_URL": f"smtp://127.0.0.1:{mailbox.port}"}
    started = [CeleryProcess(kind, **variables) for kind in ("worker", "beat")]
    yield
    for process in started:
        process.stop()


@pytest.fixture
def deny(servers: list[WebServer], http: httpx.Client) -> Callable[[int], None]:
    """A function that causes this number of denials for acme, on both servers."""
    policy("closed", (0, 60))
    publish()

    def deny(times: int) -> None:
        for number in range(times):
            assert ask(http, servers[number % 2])["status"] == 429

    return deny


def counted() -> int:
    found = Usage.objects.filter(client_key="acme", outcome=Outcome.DENIED.value).values_list("requests", flat=True)
    return sum(found)


def test_sixty_denials_are_one_email_and_sixty_more_in_the_cooldown_none(
    celery: None, deny: Callable[[int], None], mailbox: Mailbox
) -> None:
    rows.alert_rule("search-abuse", group_by="client", window=120)
    deny(60)
    mail = mailbox.next()
    assert "search-abuse: acme was denied" in str(mail["Subject"])
    text = mail.get_body(("plain",))
    assert text
    assert "acme, search" in text.get_content()
    deny(60)
    wait_until(lambda: counted() == 120)
    evaluate()
    assert (Alert.objects.count(), Message.objects.count()) == (1, 1)
    assert mailbox.is_empty
    assert Message.objects.get().sent_at
