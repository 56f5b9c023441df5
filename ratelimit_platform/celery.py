"""The Celery application: ``celery -A ratelimit_platform worker`` and ``… beat``."""

import os
import sys
from typing import Any

from celery import Celery
from celery.signals import (
    beat_init,
    celeryd_init,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutting_down,
)
from kombu.exceptions import OperationalError

from ratelimit_enforcer import telemetry
from ratelimit_platform import task_spans, tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ratelimit_platform.settings")

app = Celery("ratelimit_platform")
# For every thread: otherwise, each thread except the importing one gets a separate application, with
# another broker.
app.set_default()
app.config_from_object("ratelimit_platform.celery_settings")
app.autodiscover_tasks()


@celeryd_init.connect
@beat_init.connect
def _require_database(**_: Any) -> None:
    """Ends a worker or beat if the broker's Redis lacks the database: waiting would not create it."""
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)
    except OperationalError as error:
        if "DB index is out of range" in str(error):
            sys.exit(
                f"The Redis of the message broker has no database {connection.virtual_host}, the number in "
                "CELERY_BROKER_URL (default: the number in REDIS_URL plus 1). Choose another number, or raise "
                "`databases` in the configuration of Redis (16: numbers 0 to 15)."
            )


@worker_ready.connect
def _start_store_watch(**_: Any) -> None:
    """Starts monitoring the store. Imports late, because that requires the complete application."""
    from django.conf import settings

    from limits.tasks import StoreWatch

    watch = StoreWatch(settings.STORE_WATCH_SECONDS)
    watch.start()
    worker_shutting_down.connect(lambda **_: watch.stop(), weak=False)


@worker_process_init.connect
def _start_tracing(**_: Any) -> None:
    """In each process that runs tasks: a thread that exports does not survive a fork."""
    if tracing.is_configured():
        tracing.start("worker")
        task_spans.start()


@worker_process_shutdown.connect
def _end_tracing(**_: Any) -> None:
    if telemetry.started is not None:
        tracing.flush()
