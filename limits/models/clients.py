"""Clients."""

from django.contrib.postgres.indexes import OpClass
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Length, Upper

from limits.domain.client import MAX_KEY_LENGTH, key_problem
from limits.domain.words import ClientStatus
from limits.models.fields import choices, validate_printable, words_check
from limits.models.history import RowHistory
from limits.models.plans import Plan

models.CharField.register_lookup(Length)


def validate_key(key: str) -> None:
    """Refuses what cannot be a client's key."""
    if message := key_problem(key):
        raise ValidationError(f"A key {message}", code="invalid_key")


class Client(models.Model):
    """Who is limited: an API key, a user, a tenant. A caller that has no row is on the default plan.

    ``revision`` is set by the database, anew at every change of the client or its overrides.
    """

    key = models.CharField(
        max_length=MAX_KEY_LENGTH,
        unique=True,
        validators=[validate_key],
        help_text="What the caller sends as “client”. It cannot be changed later.",
    )
    name = models.CharField(max_length=200, validators=[validate_printable], blank=True)
    plan = models.ForeignKey(
        Plan,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="clients",
        help_text="Empty: the default plan, whichever it is.",
    )
    status = models.CharField(
        max_length=10,
        choices=choices(ClientStatus),
        default=ClientStatus.ACTIVE.value,
        help_text="exempt: never limited and never counted against a limit; blocked: always refused.",
    )
    revision = models.BigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    history = RowHistory(excluded_fields=["revision", "updated_at"])

    class Meta:
        ordering = ["key"]
        permissions = [
            ("block_client", "Can block clients, and end that"),
            ("reset_client", "Can forget the counters of clients"),
        ]
        indexes = [
            models.Index(OpClass(Upper("key"), name="text_pattern_ops"), name="client_key_search"),
            models.Index(OpClass(Upper("name"), name="text_pattern_ops"), name="client_name_search"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(key__length__gte=1), name="client_key_not_empty"),
            models.CheckConstraint(condition=~Q(key__regex="[\\x01-\\x1f\\x7f-\\x9f]"), name="client_key_printable"),
            words_check("client", "status", ClientStatus),
        ]

    def __str__(self) -> str:
        return self.name or self.key

    def clean(self) -> None:
        before = type(self).objects.filter(pk=self.pk).values_list("key", flat=True).first()
        if before is not None and before != self.key:
            raise ValidationError({"key": f"A key never changes; this one is “{before}”."})
