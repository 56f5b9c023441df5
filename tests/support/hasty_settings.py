"""The platform's settings, with tasks that come five times as often: for workers and beats that tests wait for."""

from ratelimit_platform import settings

globals().update({name: value for name, value in vars(settings).items() if name.isupper()})

CELERY_BEAT_SCHEDULE = {
    name: entry | {"schedule": entry["schedule"] / 5} for name, entry in settings.CELERY_BEAT_SCHEDULE.items()
}
STORE_WATCH_SECONDS = settings.STORE_WATCH_SECONDS / 5
