"""URLs of the platform, of the views for comparison, and of a shop."""

from django.urls import include, path

from benchmarks.web.views import Empty, Minimal, Shop

urlpatterns = [
    path("bench/empty", Empty.as_view()),
    path("bench/minimal", Minimal.as_view()),
    path("three", Shop.as_view()),
    path("", include("ratelimit_platform.urls")),
]
