"""API tokens: the secret is shown once, the database stores its digest."""

import hashlib
import secrets
from collections.abc import Sequence

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from limits.models.fields import choices, validate_printable
from limits.models.history import RowHistory
from ratelimit_enforcer.domain.enums import Scope


class ApiToken(models.Model):
    """A token for programs that call the API. Only the digest is stored."""

    name = models.CharField(
        max_length=200,
        validators=[validate_printable],
        unique=True,
        help_text="Purpose, such as “checkout service”.",
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField("ends with", max_length=4, editable=False)
    scopes = ArrayField(
        models.CharField(max_length=10, choices=choices(Scope)),
        help_text=(
            "check: request decisions; adjust: charge, refund and set limits over gRPC; clients: change clients; "
            "rules: change rules; publish: publish rules without approval; reports: read reports; metrics: read "
            "metrics."
        ),
    )
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    history = RowHistory(excluded_fields=["digest"])

    class Meta:
        ordering = ["name"]
        verbose_name = "API token"
        constraints = [
            models.CheckConstraint(
                condition=Q(scopes__contained_by=[scope.value for scope in Scope]) & Q(scopes__len__gte=1),
                name="apitoken_scopes_known",
            ),
            models.CheckConstraint(condition=Q(digest__regex="^[0-9a-f]{64}$"), name="apitoken_digest_shape"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if not self.scopes:
            raise ValidationError({"scopes": "A token needs at least one scope."})


PREFIX = "rl_"


def new_secret() -> str:
    """Returns a random token (256 bits) with a recognizable prefix."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of_secret(secret: str) -> str:
    """Returns the digest that is stored and compared: SHA-256, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def issue(*, name: str, scopes: Sequence[str], secret: str | None = None) -> str:
    """Creates a token and returns its secret. Raises ``ValidationError``. The token is accepted once the
    rules are published."""
    secret = secret or new_secret()
    token = ApiToken(name=name, scopes=list(scopes), digest=digest_of_secret(secret), hint=secret[-4:])
    token.full_clean()
    token.save()
    return secret
