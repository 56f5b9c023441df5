"""The settings of Celery, by its own names: it masks passwords in `celery report` under those only, and
with all of Django's settings it would print the URLs of the stores too."""

from django.conf import settings as _settings

_PREFIX = "CELERY_"

globals().update(
    {
        name.removeprefix(_PREFIX).lower(): getattr(_settings, name)
        for name in dir(_settings)
        if name.startswith(_PREFIX)
    }
)
