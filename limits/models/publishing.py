"""Publications; the row of the platform itself, which publishers lock; and the outboxes of changes that are not
published yet, written by triggers."""

import secrets

from django.conf import settings
from django.db import models
from django.db.models import Q

from limits.models.history import RowHistory
from ratelimit_enforcer.domain.ruleset import Version


def new_epoch() -> str:
    """Returns a random name for a new epoch, unique among databases."""
    return secrets.token_hex(6)


class Platform(models.Model):
    """Data of this database as a whole; there is exactly one row.

    ``epoch`` distinguishes the rules of this database from those of any other. Publishers lock the row, so
    that they run one after another.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    epoch = models.CharField(max_length=12, default=new_epoch, editable=False)
    shadow_all = models.BooleanField(
        "emergency switch",
        default=False,
        help_text="While the switch is on, policies report the requests that they would deny, but deny none. Blocked "
        "clients stay blocked.",
    )

    history = RowHistory(excluded_fields=["epoch"])

    class Meta:
        verbose_name = "emergency switch"
        verbose_name_plural = "emergency switch"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="platform_is_one_row")]

    def __str__(self) -> str:
        return f"Emergency switch: {'on' if self.shadow_all else 'off'}"

    @classmethod
    def load(cls) -> "Platform":
        """Returns the row, which is created if it does not exist yet."""
        return cls.objects.get_or_create(pk=1)[0]


class ClientChange(models.Model):
    """An outbox row: a client changed, or was deleted, at this revision. ``earlier_root``: the key of the root before
    the change, if it was another one; None: it was not."""

    client_key = models.CharField(max_length=256, db_index=True)
    revision = models.BigIntegerField()
    earlier_root = models.CharField(max_length=256, null=True, editable=False)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.client_key} at {self.revision}"


class RuleChange(models.Model):
    """A mark: rules changed, and no publication contains the change yet."""

    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"Rules changed at {self.created_at}"


class Publication(models.Model):
    """The record of one ruleset going live: version, author, time, reason and changes.

    ``content`` is the exact text of the ruleset, ``digest`` its SHA-256 in hexadecimal.
    """

    class State(models.TextChoices):
        PENDING = "pending", "not live yet"
        PARTIAL = "partial", "partially live"
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
        """The epoch, sequence and digest of this publication."""
        return Version(self.epoch, self.sequence, self.digest)

    @property
    def token(self) -> str:
        """The version token as written to the store."""
        return str(self.version)
