"""How much of each quota a registered client uses: the latest reading of each limit, and the peak of each month.

Readings are taken by a worker about once a minute (:mod:`limits.monitoring.quotas`), so that a list of all clients
needs no call to the store. These rows are never edited.
"""

from django.db import models
from django.db.models import Q


class QuotaUse(models.Model):
    """How much of one limit's quota a client uses or used. ``limit``: the name of the limit, as in answers to checks.
    ``capacity``: the quota, or the burst of a token bucket. ``percent`` is rounded down, so that 100 means full."""

    client_key = models.CharField("client", max_length=256)
    limit = models.CharField(max_length=200)
    used = models.BigIntegerField()
    capacity = models.BigIntegerField()
    percent = models.IntegerField()

    class Meta:
        abstract = True


def _constraints(name: str, *columns: str) -> list[models.BaseConstraint]:
    return [
        models.UniqueConstraint(fields=["client_key", "limit", *columns], name=f"{name}_one_row"),
        models.CheckConstraint(condition=Q(used__gte=0, capacity__gt=0, percent__gte=0), name=f"{name}_not_negative"),
    ]


class QuotaReading(QuotaUse):
    """The latest reading of one limit of a client. ``unused_at``: from then on the limit is as if never used, unless
    there are further requests. ``peak_percent`` and ``peak_at``: the highest reading of the month of ``peak_at``."""

    policy = models.CharField(max_length=64)
    endpoint = models.CharField(max_length=64, blank=True)
    read_at = models.DateTimeField()
    unused_at = models.DateTimeField()
    peak_percent = models.IntegerField()
    peak_at = models.DateTimeField()

    class Meta:
        verbose_name = "quota in use"
        verbose_name_plural = "quotas in use"
        ordering = ["-percent", "-peak_percent", "client_key", "limit"]
        constraints = _constraints("quotareading")
        indexes = [
            models.Index(fields=["-percent", "-peak_percent", "client_key", "limit"], name="quotareading_by_percent"),
            models.Index(fields=["-peak_percent", "client_key", "limit"], name="quotareading_by_peak"),
            models.Index(fields=["read_at"], name="quotareading_read"),
            models.Index(fields=["unused_at"], condition=Q(percent__gt=0), name="quotareading_unused"),
        ]

    def __str__(self) -> str:
        return f"{self.client_key} uses {self.percent} % of {self.limit}"


class QuotaPeak(QuotaUse):
    """The highest reading of one limit of a client in one month (UTC)."""

    month = models.DateField()
    at = models.DateTimeField()

    class Meta:
        verbose_name = "peak of a quota"
        verbose_name_plural = "peaks of quotas"
        ordering = ["client_key", "-month", "limit"]
        constraints = _constraints("quotapeak", "month")
        indexes = [models.Index(fields=["month"], name="quotapeak_month")]

    def __str__(self) -> str:
        return f"{self.client_key} used {self.percent} % of {self.limit} in {self.month:%B %Y}"
