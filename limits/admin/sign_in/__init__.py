"""Sign-in by OpenID Connect: mozilla-django-oidc sends people to the provider and back; the rules of this platform are
here. Nothing is imported while ``OIDC_ISSUER`` is not set."""
