"""The WSGI application."""

import os

from django.core.wsgi import get_wsgi_application

from api.wsgi import TolerantRequest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ratelimit_platform.settings")

application = get_wsgi_application()
application.request_class = TolerantRequest

# Imported only now: it needs the settings.
from ratelimit_platform.warm_up import warm_up  # noqa: E402

warm_up()
