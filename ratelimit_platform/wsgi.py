"""The WSGI application."""

import os
from typing import TYPE_CHECKING

from django.core.wsgi import get_wsgi_application

from api.wsgi import TolerantRequest
from limits.monitoring.prometheus.folder import prepare
from ratelimit_platform.environment import DATA_DIR
from ratelimit_platform.file_limits import raise_file_limit

if TYPE_CHECKING:
    from ratelimit_platform.request_bodies import BoundedBodies


def _application() -> "BoundedBodies":
    """Django's behind bounds for bodies, in a process that keeps metrics and holds the rules."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ratelimit_platform.settings")
    raise_file_limit()
    prepare(DATA_DIR / "metrics")
    handler = get_wsgi_application()
    handler.request_class = TolerantRequest
    # Only now: it needs the complete application, and prometheus-client the folder.
    from limits.monitoring.prometheus.exposition import watch
    from ratelimit_platform.request_bodies import BoundedBodies
    from ratelimit_platform.warm_up import freeze, warm_up

    application = BoundedBodies(handler)
    watch()
    warm_up()
    freeze()
    return application


application = _application()
