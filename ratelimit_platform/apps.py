"""Django's admin, as this platform serves it."""

from django.contrib.admin.apps import AdminConfig


class PlatformAdminConfig(AdminConfig):
    default_site = "ratelimit_platform.site.PlatformAdminSite"
