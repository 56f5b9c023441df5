"""Overrides of segments: limits of all clients with some tags, on a plan or with a key prefix, in place of one
policy's limits. They are part of the ruleset: no client is written for them."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinLengthValidator
from django.db import models
from django.db.models import Q

from limits.domain.descriptions import dates_sentence
from limits.models.fields import tags_check, tags_field, validate_printable
from limits.models.history import RowHistory
from limits.models.rules import (
    LimitFields,
    Plan,
    Policy,
    ends_after_start_check,
    limit_checks,
    limit_uniques,
    require_end_after_start,
)
from ratelimit_enforcer.domain.client import MAX_KEY_LENGTH
from ratelimit_enforcer.domain.dates import optional_microseconds
from ratelimit_enforcer.domain.enums import Partition
from ratelimit_enforcer.domain.segments import Segment
from ratelimit_enforcer.domain.segments import SegmentOverride as DomainSegmentOverride
from ratelimit_enforcer.domain.validation import MAX_REASON_LENGTH, capitalized, segment_problems


class SegmentOverride(models.Model):
    """Limits of a segment in place of one policy's limits, for a period. Of several that match a client, the most
    specific applies; of two that are equally specific, the older row."""

    policy = models.ForeignKey(
        Policy,
        on_delete=models.PROTECT,
        related_name="segment_overrides",
        limit_choices_to={"partition": Partition.CLIENT.value},
    )
    tags = tags_field("For clients with all of these tags.")
    plan = models.ForeignKey(
        Plan,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="segment_overrides",
        help_text="For all clients on this plan.",
    )
    prefix = models.CharField(
        "key prefix",
        max_length=MAX_KEY_LENGTH,
        blank=True,
        validators=[MinLengthValidator(1)],
        help_text="For clients whose key begins with this text, registered or not.",
    )
    starts_at = models.DateTimeField(null=True, blank=True, help_text="Empty: immediately.")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Empty: no end.")
    reason = models.CharField(
        max_length=MAX_REASON_LENGTH,
        validators=[validate_printable],
        blank=True,
        help_text="Such as “Black Friday weekend”.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )

    history = RowHistory()

    class Meta:
        ordering = ["id"]
        constraints = [
            ends_after_start_check("segmentoverride"),
            tags_check("segmentoverride"),
            models.CheckConstraint(
                condition=Q(prefix="", tags=[], plan__isnull=False)
                | Q(plan=None, prefix="") & ~Q(tags=[])
                | Q(plan=None, tags=[]) & ~Q(prefix=""),
                name="segmentoverride_one_criterion",
                violation_error_message="Choose exactly one of tags, plan and key prefix.",
            ),
            models.UniqueConstraint(
                fields=["policy", "tags", "plan", "prefix", "starts_at"],
                nulls_distinct=False,
                name="segmentoverride_identity",
                violation_error_message="There is already an override of this policy for this segment and start.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.segment} on {self.policy}"

    @property
    def segment(self) -> Segment:
        """The segment as the domain object."""
        return Segment(self.prefix, tuple(self.tags), self.plan.slug if self.plan else None)

    @property
    def dates(self) -> str:
        """The period for display: “from 1 Dec 2026, 00:00 UTC, until …”."""
        return dates_sentence(self.starts_at, self.ends_at)

    def as_domain(self) -> DomainSegmentOverride:
        """Returns the override as the domain object."""
        return DomainSegmentOverride(
            segment=self.segment,
            policy=self.policy.slug,
            limits=tuple(limit.as_domain() for limit in self.limits.all()),
            starts_at=optional_microseconds(self.starts_at),
            ends_at=optional_microseconds(self.ends_at),
        )

    def clean(self) -> None:
        require_end_after_start(self.starts_at, self.ends_at)
        self.tags = sorted(self.tags)
        for field, message in segment_problems(self.segment):
            if not field:
                raise ValidationError("Choose exactly one of tags, plan and key prefix.")
            raise ValidationError({field: capitalized(message)})


class SegmentOverrideLimit(LimitFields):
    """One limit of an override of a segment, in place of the limits of its policy."""

    override = models.ForeignKey(SegmentOverride, on_delete=models.CASCADE, related_name="limits")
    history = RowHistory()

    class Meta:
        ordering = ["position", "id"]
        verbose_name = "limit"
        constraints = [
            *limit_checks("segmentoverridelimit"),
            *limit_uniques("segmentoverridelimit", "override"),
        ]
