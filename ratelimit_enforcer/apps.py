"""The Django app: an entry in ``INSTALLED_APPS`` adds the system checks. Nothing else requires it."""

from django.apps import AppConfig


class EnforcerConfig(AppConfig):
    """Registers the system checks of :mod:`ratelimit_enforcer.checks`; has no models."""

    name = "ratelimit_enforcer"
    verbose_name = "Rate limit enforcement"

    def ready(self) -> None:
        from ratelimit_enforcer import checks  # noqa: F401  (it registers them)
