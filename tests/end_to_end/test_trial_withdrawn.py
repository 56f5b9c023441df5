"""A trial with too many denials is withdrawn by a real worker and a real beat, and its author gets an email."""

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from limits.changes.lifecycle import Actor, start
from limits.changes.publication import try_on
from limits.domain.edits import Edit
from limits.models import ChangeSet, Client
from limits.publishing import clients, rules
from tests.end_to_end.shop import ask, policy, publish
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
def trial(servers: list[WebServer]) -> ChangeSet:
    """Clients with the tag “beta” may send nothing, all others 1,000 requests in an hour."""
    policy("search", (1000, 3600))
    publish()
    Client.objects.create(key="acme", tags=["beta"])
    assert clients.deliver().live
    ann = Actor.of(User.objects.create_user("ann", "ann@example.com"))
    change = start("Pilot", ann, [Edit(("policies", "search", "limits", "3600s", "quota"), 1000, 0)])
    try_on(change, ann, tag="beta", max_denial_rate=20)
    assert rules.deliver().live
    change.tried_since = timezone.now() - timedelta(minutes=5)
    change.save()
    return change


def test_a_trial_with_too_many_denials_is_withdrawn(
    celery: None, servers: list[WebServer], http: httpx.Client, trial: ChangeSet, mailbox: Mailbox
) -> None:
    assert ask(http, servers[0])["change"] == "Pilot"
    for number in range(100):
        assert ask(http, servers[number % 2])["status"] == 429
    wait_until(lambda: all(ask(http, server)["status"] == 200 for server in servers))
    trial.refresh_from_db()
    assert trial.state == ChangeSet.State.WITHDRAWN
    mail = mailbox.next()
    assert mail["To"] == "ann@example.com"
    assert "Withdrawn: Pilot" in str(mail["Subject"])
