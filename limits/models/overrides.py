"""Overrides: a client's own limits in place of a policy's."""

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


def _same(column: str) -> Func:
    """A number as a range of one, since GiST compares ranges without an extension of PostgreSQL."""
    return Func(F(column), F(column), Value("[]"), function="int8range")


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
                    (_same("client_id"), RangeOperators.OVERLAPS),
                    (_same("policy_id"), RangeOperators.OVERLAPS),
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


class OverrideLimit(LimitFields):
    """A limit of an override."""

    override = models.ForeignKey(Override, on_delete=models.CASCADE, related_name="limits")
    history = RowHistory()

    class Meta:
        ordering = ["position", "id"]
        verbose_name = "limit"
        constraints = [*limit_checks("overridelimit"), *limit_uniques("overridelimit", "override")]
