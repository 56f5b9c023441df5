"""The WSGI application."""

import os
from typing import TYPE_CHECKING

from django.core.wsgi import get_wsgi_application

from api.wsgi import TolerantRequest
from limits.monitoring.prometheus_folder import prepare_folder
from ratelimit_platform.environment import DATA_DIR
from ratelimit_platform.startup import freeze, raise_file_limit, warm_up

if TYPE_CHECKING:
    from ratelimit_platform.request_bodies import BoundedBodies


def _application() -> "BoundedBodies":
    """Django's application behind the bounds for bodies, in a process with metrics and with the rules loaded."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ratelimit_platform.settings")
    raise_file_limit()
    prepare_folder(DATA_DIR / "metrics")
    handler = get_wsgi_application()
    handler.request_class = TolerantRequest
    # Imported late: this needs the complete application, and prometheus-client needs the folder.
    from limits.monitoring.prometheus import start_collecting
    from ratelimit_platform.request_bodies import BoundedBodies

    application = BoundedBodies(handler)
    start_collecting()
    warm_up()
    freeze()
    return application


application = _application()
