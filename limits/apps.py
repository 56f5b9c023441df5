"""The Django app of the platform. In another project an entry in ``INSTALLED_APPS`` is not needed;
it adds the system checks."""

from django.apps import AppConfig


class LimitsConfig(AppConfig):
    name = "limits"
    verbose_name = "Rate limits"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from limits import checks  # noqa: F401  (it registers them)
