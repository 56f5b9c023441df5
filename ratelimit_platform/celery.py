"""The Celery application: ``celery -A ratelimit_platform worker`` and ``… beat``."""

import os
import sys
from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_init, worker_ready, worker_shutting_down
from kombu.exceptions import OperationalError

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ratelimit_platform.settings")

app = Celery("ratelimit_platform")
# For every thread: without this, each thread but the importing one gets an application of its own,
# with another broker.
app.set_default()
app.config_from_object("ratelimit_platform.celery_settings")
app.autodiscover_tasks()


@celeryd_init.connect
@beat_init.connect
def _require_database(**_: Any) -> None:
    """Ends a worker or beat whose broker lacks the database: no waiting would bring it."""
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)
    except OperationalError as error:
        if "DB index is out of range" in str(error):
            sys.exit(
                f"The Redis of the message broker has no database {connection.virtual_host}. That is the number in "
                "CELERY_BROKER_URL; by default the one after that of REDIS_URL. Choose another one, or raise "
                "`databases` in the configuration of Redis (16: numbers 0 to 15)."
            )


@worker_ready.connect
def _watch_the_store(**_: Any) -> None:
    """Only now, since it needs the complete application."""
    from limits.monitoring.watch import StoreWatch

    watch = StoreWatch()
    watch.start()
    worker_shutting_down.connect(lambda **_: watch.stop(), weak=False)
