"""While the store is unavailable no tasks arrive, so workers send alerts without tasks."""

import pytest
from django.db import OperationalError
from pytest_django import Settings

from limits import tasks
from limits.models import Alert, Message, Usage
from limits.tasks import StoreWatch, check_store
from tests.models import rows
from tests.monitoring.counting import AT
from tests.publishing.platforms import Platform
from tests.support.smtp import Mailbox, mailbox
from tests.support.waiting import wait_until

__all__ = ["mailbox"]


@pytest.fixture(autouse=True)
def smtp(settings: Settings, mailbox: Mailbox) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mailbox.port


@pytest.mark.django_db
def test_with_the_store_available_only_tasks_evaluate(platform: Platform) -> None:
    rows.alert_rule("platform", metric="platform", threshold=1)
    Usage.objects.create(client_key="acme", endpoint="", minute=AT, outcome="admitted", requests=1, cost=1)
    assert check_store()
    assert not Alert.objects.exists()


@pytest.mark.django_db
def test_without_the_store_the_watch_opens_and_sends_the_alert(platform: Platform, mailbox: Mailbox) -> None:
    rows.alert_rule("platform", metric="platform", threshold=1)
    platform.make_store_unavailable()
    assert not check_store()
    assert mailbox.next()["Subject"] == "platform: store unreachable"
    assert not check_store()
    assert Message.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_thread_continues_after_errors_of_the_database(
    platform: Platform, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.alert_rule("platform", metric="platform", threshold=1)
    platform.make_store_unavailable()
    failures = iter([OperationalError("gone"), RuntimeError("a mistake of ours"), OperationalError("gone")])

    def look_and_fail_first() -> bool:
        if (error := next(failures, None)) is not None:
            raise error
        return check_store()

    monkeypatch.setattr(tasks, "check_store", look_and_fail_first)
    thread = StoreWatch(interval=0.01)
    thread.start()
    try:
        mailbox.next()
        wait_until(lambda: Message.objects.filter(sent_at__isnull=False).exists())
    finally:
        thread.stop()
        thread.join()
