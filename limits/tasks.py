"""What Celery runs. Every task can run twice at once, be killed anywhere, and run again.

Each step starts the next one where it made work for it, so that a mail follows a denial within
seconds; beat starts each of them too, so that nothing waits for ever.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from celery import shared_task
from django.db import OperationalError
from kombu.exceptions import OperationalError as BrokerUnavailable

from limits.configfile import client_files
from limits.domain.words import Channel
from limits.monitoring import alerts, delivery, drain, retention, rollups
from limits.publishing import reconciler
from limits.store.errors import StoreError

log = structlog.get_logger(__name__)

_LIMITS: dict[str, Any] = {"ignore_result": True, "soft_time_limit": 120, "time_limit": 150}


# It may have a million clients to bring to an emptied store.
@shared_task(name="limits.tasks.reconcile", **(_LIMITS | {"soft_time_limit": 900, "time_limit": 930}))
def reconcile() -> None:
    """Compares the database with the store and repairs, every few seconds."""
    with _outages_logged("reconcile"):
        reconciler.reconcile()


@shared_task(name="limits.tasks.drain_usage", **_LIMITS)
def drain_usage() -> None:
    """Brings usage counts from the store to the database."""
    with _outages_logged("drain_usage"):
        if drain.drain():
            evaluate_alerts.delay()


@shared_task(name="limits.tasks.tidy_usage", **_LIMITS)
def tidy_usage() -> None:
    """Adds minutes up to hours and hours to days, and removes what is past its time."""
    with _outages_logged("tidy_usage"):
        rollups.roll_up()
        retention.remove_old()


@shared_task(name="limits.tasks.evaluate_alerts", **_LIMITS)
def evaluate_alerts() -> None:
    """Opens and resolves alerts."""
    with _outages_logged("evaluate_alerts"):
        if alerts.evaluate():
            send_mails.delay()
            send_webhooks.delay()


@shared_task(name="limits.tasks.send_mails", **_LIMITS)
def send_mails() -> None:
    """Sends the mails that are due."""
    with _outages_logged("send_mails"):
        delivery.send_due(Channel.MAIL)


@shared_task(name="limits.tasks.send_webhooks", **_LIMITS)
def send_webhooks() -> None:
    """Calls the webhooks that are due."""
    with _outages_logged("send_webhooks"):
        delivery.send_due(Channel.WEBHOOK)


IMPORT_STEP = 60.0
"""Seconds that an import of clients goes on before it makes way for others."""


@shared_task(name="limits.tasks.import_clients", **_LIMITS)
def import_clients(pk: int) -> None:
    """Checks or imports a large file of clients, a step at a time."""
    with _outages_logged("import_clients"):
        if not client_files.work(pk, IMPORT_STEP):
            import_clients.delay(pk)


@shared_task(name="limits.tasks.continue_imports", **_LIMITS)
def continue_imports() -> None:
    """Continues the imports that wait for a worker, or whose worker died."""
    with _outages_logged("continue_imports"):
        for pk in client_files.interrupted():
            import_clients.delay(pk)


@contextmanager
def _outages_logged(task: str) -> Iterator[None]:
    """A store, broker or database that is away is expected: the next run does what this one could not."""
    try:
        yield
    except (StoreError, BrokerUnavailable, OperationalError) as error:
        log.warning("task_put_off", task=task, error=f"{type(error).__name__}: {error}")
