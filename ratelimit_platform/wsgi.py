"""The WSGI application."""

from typing import TYPE_CHECKING

from django.core.wsgi import get_wsgi_application

from api.wsgi import TolerantRequest
from ratelimit_platform.startup import prepared

if TYPE_CHECKING:
    from ratelimit_platform.request_bodies import BoundedBodies


def _application() -> "BoundedBodies":
    """Django's application behind the bounds for bodies."""
    handler = get_wsgi_application()
    handler.request_class = TolerantRequest
    # Imported late: this needs Django's settings.
    from ratelimit_platform.request_bodies import BoundedBodies

    return BoundedBodies(handler)


application = prepared(_application, "web")
