"""Addresses."""

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

handler400 = "api.errors.bad_request"
handler404 = "api.errors.not_found"
handler500 = "api.errors.server_error"
