"""The Celery application: ``celery -A ratelimit_platform worker`` and ``… beat``."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_ready, worker_shutting_down

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ratelimit_platform.settings")

app = Celery("ratelimit_platform")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_ready.connect
def _watch_the_store(**_: Any) -> None:
    """Only now, since it needs the complete application."""
    from limits.monitoring.watch import StoreWatch

    watch = StoreWatch()
    watch.start()
    worker_shutting_down.connect(lambda **_: watch.stop(), weak=False)
