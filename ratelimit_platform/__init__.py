"""The Django project: settings, URLs, processes.

Every process of the platform uses the same Celery application: the web server, which sends tasks,
as well as the worker.
"""

from ratelimit_platform.celery import app as celery_app

__all__ = ["celery_app"]
