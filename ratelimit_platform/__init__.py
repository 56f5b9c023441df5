"""The Django project: settings, addresses, processes.

Every process of the platform has the same Celery application: the web server, which sends tasks,
as well as the worker.
"""

from ratelimit_platform.celery import app as celery_app

__all__ = ["celery_app"]
