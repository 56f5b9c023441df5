"""The Celery application: ``celery -A ratelimit_platform worker`` and ``… beat``."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ratelimit_platform.settings")

app = Celery("ratelimit_platform")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
