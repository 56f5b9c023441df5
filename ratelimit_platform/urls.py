"""The URLs of the project."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from limits.admin.login import login

sign_in = []
if settings.SIGN_IN:
    from limits.admin.sign_in.views import logout

    sign_in = [path("admin/sign-in/", include("limits.admin.sign_in.urls")), path("admin/logout/", logout)]

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/login/", login),
    *sign_in,
    path("admin/", admin.site.urls),
    path("", include("api.urls")),
]

if settings.DEMO:
    urlpatterns.append(path("shop/", include("demo.shop")))

handler400 = "ratelimit_platform.error_handlers.bad_request"
handler403 = "ratelimit_platform.error_handlers.forbidden"
handler404 = "ratelimit_platform.error_handlers.not_found"
handler500 = "api.errors.server_error"
