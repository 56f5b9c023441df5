"""The URLs of the project."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from limits.admin.login import login

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/login/", login),
    path("admin/", admin.site.urls),
    path("", include("api.urls")),
]

if settings.DEMO:
    urlpatterns.append(path("shop/", include("demo.shop")))

handler400 = "ratelimit_platform.error_handlers.bad_request"
handler403 = "ratelimit_platform.error_handlers.forbidden"
handler404 = "ratelimit_platform.error_handlers.not_found"
handler500 = "api.errors.server_error"
