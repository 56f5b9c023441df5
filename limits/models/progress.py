"""How far work that comes back again and again has come."""

from datetime import datetime
from enum import StrEnum

from django.db import models
from django.utils import timezone


class Work(StrEnum):
    """What comes back."""

    DRAIN = "drain"
    """Bringing usage counts from the store."""
    HOURS = "hours"
    """Adding minutes up to hours: those before are in them."""
    DAYS = "days"
    """Adding hours up to days: those before are in them."""


class Progress(models.Model):
    """``at``: everything up to this moment is done."""

    work = models.CharField(max_length=20, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.work}: {self.at:%F %T}"

    @classmethod
    def note(cls, work: Work, at: datetime | None = None) -> None:
        """Everything up to ``at`` (now) is done."""
        cls.objects.update_or_create(work=work.value, defaults={"at": at or timezone.now()})

    @classmethod
    def of(cls, work: Work) -> datetime | None:
        """Up to when it is done; None: it never was."""
        return cls.objects.filter(work=work.value).values_list("at", flat=True).first()
