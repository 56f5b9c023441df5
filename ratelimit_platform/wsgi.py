"""The WSGI application."""

import os

from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application

from api.wsgi import TolerantRequest
from limits.monitoring.prometheus.folder import prepare
from ratelimit_platform.environment import DATA_DIR


def _application() -> WSGIHandler:
    """Django's, in a process that keeps metrics and holds the rules."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ratelimit_platform.settings")
    prepare(DATA_DIR / "metrics")
    handler = get_wsgi_application()
    handler.request_class = TolerantRequest
    # Only now: it needs the complete application, and prometheus-client the folder.
    from limits.monitoring.prometheus.exposition import watch
    from ratelimit_platform.warm_up import freeze, warm_up

    watch()
    warm_up()
    freeze()
    return handler


application = _application()
