"""Reservations and their settlements: cost by minute, hour and day. These rows are never edited.

A reservation is counted as a request too, with the reserved cost, which stays as it is: a settlement adds figures of
its own, in its own minute. The rows are written and rolled up like those of usage.
"""

from django.db import models
from django.db.models import Q

from limits.models.usage import UNKNOWN_ENDPOINT, Counts
from ratelimit_enforcer.domain.usage import SettlementKind


class SettlementFigures(models.Model):
    """The figures that :class:`~ratelimit_enforcer.domain.usage.SettlementKind` defines: cost, except for the number
    of settlements."""

    reserved = models.BigIntegerField()
    settlements = models.BigIntegerField()
    settled = models.BigIntegerField()
    refunded = models.BigIntegerField()
    debited = models.BigIntegerField()
    overdrawn = models.BigIntegerField()

    class Meta:
        abstract = True


FIGURES = tuple(kind.name.lower() for kind in SettlementKind)
"""The names of the figures, in the order of the columns."""


class SettlementCounts(SettlementFigures, Counts):
    """The figures of one client on one endpoint in some period."""

    class Meta:
        abstract = True


def _constraints(name: str, *columns: str) -> list[models.BaseConstraint]:
    return [
        models.UniqueConstraint(fields=columns, name=f"{name}_one_row"),
        models.CheckConstraint(condition=Q(**{f"{figure}__gte": 0 for figure in FIGURES}), name=f"{name}_not_negative"),
    ]


class Settlement(SettlementCounts):
    """Settlements by minute."""

    minute = models.DateTimeField()

    class Meta:
        verbose_name_plural = "settlements"
        ordering = ["-minute", "client_key", "endpoint"]
        constraints = _constraints("settlement", "minute", "client_key", "endpoint")
        indexes = [
            models.Index(fields=["client_key", "-minute"], name="settlement_of_client"),
            # Alerts repeatedly query the overdrawn cost of the last few minutes.
            models.Index(fields=["minute"], condition=Q(overdrawn__gt=0), name="settlement_overdrawn"),
        ]

    def __str__(self) -> str:
        return f"{self.settlements:,} settlements: {self.client_name} on {self.endpoint_name}, {self.minute:%F %R}"


class SettlementHour(SettlementCounts):
    """Settlements by hour."""

    hour = models.DateTimeField()

    class Meta:
        verbose_name_plural = "settlements by hour"
        ordering = ["-hour", "client_key", "endpoint"]
        constraints = _constraints("settlementhour", "hour", "client_key", "endpoint")
        indexes = [
            models.Index(fields=["client_key", "-hour"], name="settlementhour_of_client"),
            models.Index(fields=["hour"], condition=Q(overdrawn__gt=0), name="settlementhour_overdrawn"),
        ]

    def __str__(self) -> str:
        return f"{self.settlements:,} settlements: {self.client_name} on {self.endpoint_name}, {self.hour:%F %R}"


class SettlementDay(SettlementCounts):
    """Settlements by day, UTC. Clients that were not registered when the day was rolled up are counted together."""

    day = models.DateTimeField()

    class Meta:
        verbose_name_plural = "settlements by day"
        ordering = ["-day", "client_key", "endpoint"]
        constraints = _constraints("settlementday", "day", "client_key", "endpoint")
        indexes = [models.Index(fields=["client_key", "-day"], name="settlementday_of_client")]

    def __str__(self) -> str:
        return f"{self.settlements:,} settlements: {self.client_name} on {self.endpoint_name}, {self.day:%F}"


class SettlementTotal(SettlementFigures):
    """All settlements on one endpoint since the first one, for counters that never decrease: rows by day are removed
    after some time."""

    endpoint = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["endpoint"]
        constraints = _constraints("settlementtotal", "endpoint")

    def __str__(self) -> str:
        return f"{self.settlements:,} settlements on {self.endpoint_name}"

    @property
    def endpoint_name(self) -> str:
        """The endpoint as shown to people: the slug, or “(unknown)”."""
        return self.endpoint or UNKNOWN_ENDPOINT
