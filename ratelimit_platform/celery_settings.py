"""Celery's settings under Celery's own names. `celery report` masks passwords only under those names; given
all of Django's settings, it would also print the URLs of the stores."""

from django.conf import settings as _settings

_PREFIX = "CELERY_"

globals().update(
    {
        name.removeprefix(_PREFIX).lower(): getattr(_settings, name)
        for name in dir(_settings)
        if name.startswith(_PREFIX)
    }
)
