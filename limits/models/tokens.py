"""API tokens."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from limits.domain.words import Scope
from limits.models.fields import choices, validate_printable
from limits.models.history import RowHistory


class ApiToken(models.Model):
    """A token that a program calls the API with. Only its digest is kept."""

    name = models.CharField(
        max_length=200,
        validators=[validate_printable],
        unique=True,
        help_text="What it is for, such as “checkout service”.",
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField("ends with", max_length=4, editable=False)
    scopes = ArrayField(
        models.CharField(max_length=10, choices=choices(Scope)),
        help_text="check: ask for decisions; manage: change clients; metrics: read the metrics.",
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
