"""The platform's settings with periodic tasks that run five times as often, for workers and beats in tests."""

from ratelimit_platform import settings

globals().update({name: value for name, value in vars(settings).items() if name.isupper()})

CELERY_BEAT_SCHEDULE = {
    name: entry | {"schedule": entry["schedule"] / 5} for name, entry in settings.CELERY_BEAT_SCHEDULE.items()
}
STORE_WATCH_SECONDS = settings.STORE_WATCH_SECONDS / 5
