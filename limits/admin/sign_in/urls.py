"""The addresses of sign-in, below ``/admin/sign-in/``. mozilla-django-oidc knows them by these names."""

from django.urls import path

from limits.admin.sign_in.views import callback, start

urlpatterns = [
    path("", start, name="oidc_authentication_init"),
    path("callback/", callback, name="oidc_authentication_callback"),
]
