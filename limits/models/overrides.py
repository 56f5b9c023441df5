"""Overrides: a client's own limits in place of a policy's."""

from collections.abc import Collection
from datetime import UTC, datetime

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Func, Q, Value

from limits.domain.words import Partition
from limits.models.clients import Client
from limits.models.fields import validate_printable
from limits.models.history import RowHistory
from limits.models.limits import LimitFields, limit_checks, limit_uniques
from limits.models.policies import Policy


def _same(field: str) -> Func:
    """A number as a range of one, since GiST compares ranges without an extension of PostgreSQL.

    ``field`` is the field's name: Django's validation puts the values of a row in place of names
    of fields, and would compare a name of a column (``client_id``) with itself.
    """
    return Func(F(field), F(field), Value("[]"), function="int8range")


class Override(models.Model):
    """A client's own limits in place of one policy's, for a time. It goes with its client; a policy
    that has overrides cannot be deleted, so that no customer's deal is lost unseen."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="overrides")
    policy = models.ForeignKey(
        Policy,
        on_delete=models.PROTECT,
        related_name="overrides",
        limit_choices_to={"partition": Partition.CLIENT.value},
    )
    starts_at = models.DateTimeField(null=True, blank=True, help_text="Empty: at once.")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Empty: until it is removed.")
    reason = models.CharField(
        max_length=500, validators=[validate_printable], blank=True, help_text="Such as “Christmas sale”."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )

    history = RowHistory()

    edited_together: Collection[int] = ()
    """Keys of overrides that are saved together with this one. Their rows are about to change, so a
    row is not compared with them; whoever sets this compares what was typed."""

    class Meta:
        ordering = ["client", "policy", "starts_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(starts_at=None) | Q(ends_at=None) | Q(ends_at__gt=F("starts_at")),
                name="override_ends_after_start",
                violation_error_message="It must end after it starts.",
            ),
            ExclusionConstraint(
                name="override_no_overlap",
                expressions=[
                    (_same("client"), RangeOperators.OVERLAPS),
                    (_same("policy"), RangeOperators.OVERLAPS),
                    (
                        Func("starts_at", "ends_at", function="tstzrange", output_field=DateTimeRangeField()),
                        RangeOperators.OVERLAPS,
                    ),
                ],
                violation_error_message="It overlaps another override of this client and policy.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.client} on {self.policy}"

    def clean(self) -> None:
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            raise ValidationError({"ends_at": "It must end after it starts."})
        if self.client_id and self.policy_id and (other := self.overlapping().first()):
            raise ValidationError({"starts_at": overlap_message(other)})

    def overlapping(self) -> "models.QuerySet[Override]":
        """Other overrides of this client and policy that are active at a time of this one."""
        times = active_between(self.starts_at, self.ends_at)
        rows = Override.objects.filter(times, client=self.client_id, policy=self.policy_id)
        return rows.exclude(pk__in={self.pk, *self.edited_together} - {None}).select_related("policy")

    @property
    def times(self) -> str:
        """“from 1 December 2026, 00:00 UTC until …”, as people read it."""
        start = f"from {_time(self.starts_at)}" if self.starts_at else "from the beginning"
        return f"{start} {f'until {_time(self.ends_at)}' if self.ends_at else 'without an end'}"


def active_between(start: datetime | None, end: datetime | None) -> Q:
    """Overrides that are active at a time from ``start`` (None: from the beginning) until ``end`` (None: forever)."""
    begins_before = Q() if end is None else Q(starts_at=None) | Q(starts_at__lt=end)
    ends_after = Q() if start is None else Q(ends_at=None) | Q(ends_at__gt=start)
    return begins_before & ends_after


def overlap_message(other: Override) -> str:
    """Which override is in the way."""
    return f"It overlaps another override of this client and policy (“{other.policy}”), {other.times}."


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%-d %B %Y, %H:%M} UTC"


class OverrideLimit(LimitFields):
    """A limit of an override."""

    override = models.ForeignKey(Override, on_delete=models.CASCADE, related_name="limits")
    history = RowHistory()

    class Meta:
        ordering = ["position", "id"]
        verbose_name = "limit"
        constraints = [*limit_checks("overridelimit"), *limit_uniques("overridelimit", "override")]
