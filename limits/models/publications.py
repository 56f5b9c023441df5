"""Publications."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from limits.domain.ruleset import Version


class Publication(models.Model):
    """The record of one ruleset going live: version, who, when, why, what changed.

    ``content`` is the exact text of the ruleset, ``digest`` its SHA-256.
    """

    class State(models.TextChoices):
        PENDING = "pending", "not live yet"
        PARTIAL = "partial", "live in parts"
        LIVE = "live", "live"

    sequence = models.BigIntegerField("version", unique=True)
    epoch = models.CharField(max_length=12)
    digest = models.CharField(max_length=64)
    content = models.TextField()
    changes = models.JSONField(default=list)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    author = models.CharField(max_length=200)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    live_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-sequence"]
        permissions = [("roll_back", "Can roll back to an earlier version of the rules")]
        constraints = [
            models.CheckConstraint(condition=Q(sequence__gte=1), name="publication_sequence_positive"),
            models.CheckConstraint(
                condition=Q(state__in=["pending", "partial"]) | Q(state="live", live_at__isnull=False),
                name="publication_live_since",
            ),
        ]

    def __str__(self) -> str:
        return f"Version {self.sequence}"

    @property
    def version(self) -> Version:
        return Version(self.epoch, self.sequence, self.digest)

    @property
    def token(self) -> str:
        """The version as the store holds it."""
        return str(self.version)
