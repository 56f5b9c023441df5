"""The platform itself: one row."""

import secrets

from django.db import models

from limits.models.history import RowHistory


def new_epoch() -> str:
    """A name that no other database has."""
    return secrets.token_hex(6)


class Platform(models.Model):
    """What belongs to this database as a whole; there is exactly one row.

    ``epoch`` tells this database's rules from those of any other. Publishers lock the row, so that
    they come one after another.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    epoch = models.CharField(max_length=12, default=new_epoch, editable=False)
    shadow_all = models.BooleanField(
        "emergency switch",
        default=False,
        help_text="While it is on, every policy reports what it would have done, and none denies a request. "
        "Blocked clients stay blocked.",
    )

    history = RowHistory(excluded_fields=["epoch"])

    class Meta:
        verbose_name = "emergency switch"
        verbose_name_plural = "emergency switch"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="platform_is_one_row")]

    def __str__(self) -> str:
        return "Emergency switch: every policy only reports" if self.shadow_all else "Emergency switch: off"

    @classmethod
    def load(cls) -> "Platform":
        """The row, made where it is not there yet."""
        return cls.objects.get_or_create(pk=1)[0]
