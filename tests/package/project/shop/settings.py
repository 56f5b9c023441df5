"""Settings of a new project."""

import os
from pathlib import Path

SECRET_KEY = "of-a-test"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework",
    # Optional; adds the system checks to `manage.py check`.
    *(["ratelimit_enforcer"] if "WITH_CHECKS" in os.environ else []),
]
MIDDLEWARE = [
    "ratelimit_enforcer.middleware.RateLimitHeadersMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DATABASE", Path(__file__).parents[1] / "shop.sqlite3"),
        # In memory, because tests may run in a folder that is not writable.
        "TEST": {"NAME": ":memory:"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": os.environ["REDIS_URL"]}}
REST_FRAMEWORK = {
    "DEFAULT_THROTTLE_CLASSES": ["ratelimit_enforcer.throttling.PolicyThrottle"],
    "DEFAULT_THROTTLE_RATES": {"anon": None, "user": None, "uploads": os.environ.get("UPLOADS", "5/10m")},
    "NUM_PROXIES": 0,
}
RATELIMIT_PLATFORM = {
    "NAMESPACE": os.environ.get("NAMESPACE", "rl"),
    "CLIENT_IDENTIFIER": "shop.clients.key_of",
    # Test machines are busy.
    "CHECK_DEADLINE": 10.0,
}
