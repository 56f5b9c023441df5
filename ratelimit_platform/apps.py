"""Django's admin with the platform's own site."""

from django.contrib.admin.apps import AdminConfig


class PlatformAdminConfig(AdminConfig):
    default_site = "ratelimit_platform.site.PlatformAdminSite"
