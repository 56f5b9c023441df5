"""The limits of policies and overrides."""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from limits.domain.limit import MAX_BURST, MAX_QUOTA, MAX_WINDOW_SECONDS, Limit, limit_problems
from limits.domain.wording import limit_sentence
from limits.domain.words import Algorithm, Period
from limits.models.fields import choices
from limits.models.history import RowHistory


class LimitFields(models.Model):
    """One limit as columns."""

    quota = models.PositiveBigIntegerField(help_text="How much is admitted in the window. 0 denies everything.")
    window = models.PositiveIntegerField(
        null=True, blank=True, help_text="In seconds: 60 is a minute, 3600 an hour. Empty for calendar limits."
    )
    algorithm = models.CharField(
        max_length=20,
        choices=choices(Algorithm),
        default=Algorithm.SLIDING_WINDOW.value,
        help_text="A sliding window never admits more than the quota in any stretch of that length. "
        "A token bucket refills steadily and lets bursts through. A fixed window starts anew at each full minute, "
        "hour, …; a calendar limit at each full hour, day, week or month of a time zone.",
    )
    burst = models.PositiveBigIntegerField(
        null=True,
        blank=True,
        help_text="For token buckets: how much can be used at once. Empty: as much as the quota.",
    )
    period = models.CharField(
        max_length=10,
        choices=choices(Period),
        null=True,
        blank=True,
        help_text="For calendar limits, in place of a window.",
    )
    timezone = models.CharField(
        "time zone", max_length=64, null=True, blank=True, help_text="For calendar limits. Empty: UTC."
    )
    position = models.PositiveSmallIntegerField(default=0, editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return limit_sentence(self.as_domain())

    def as_domain(self) -> Limit:
        """The limit as the rest of the platform knows it."""
        return Limit(
            quota=self.quota,
            window=self.window,
            algorithm=Algorithm(self.algorithm),
            burst=self.burst,
            period=Period(self.period) if self.period else None,
            timezone=self.timezone or None,
        )

    def clean(self) -> None:
        super().clean()
        if self.quota is None or self.algorithm not in list(Algorithm) or self.period not in [None, "", *Period]:
            return
        errors: dict[str, list[str]] = {}
        for field, message in limit_problems(self.as_domain()):
            errors.setdefault(field, []).append(message[:1].upper() + message[1:])
        if errors:
            raise ValidationError(errors)


def limit_checks(model: str) -> list[models.CheckConstraint]:
    """What :func:`limits.domain.limit.limit_problems` refuses, in the database."""
    calendar = Q(algorithm=Algorithm.CALENDAR.value)
    windowed = Q(algorithm__in=[word.value for word in Algorithm if word is not Algorithm.CALENDAR])
    window = Q(window__gte=1, window__lte=MAX_WINDOW_SECONDS, window__isnull=False)
    of_window = windowed & window & Q(period=None, timezone=None)
    of_calendar = calendar & Q(window=None, period__isnull=False, period__in=[word.value for word in Period])
    of_bucket = Q(algorithm=Algorithm.TOKEN_BUCKET.value, burst__gte=1, burst__lte=MAX_BURST)
    refills = Q(quota=0) | Q(burst__lte=F("quota") * MAX_WINDOW_SECONDS / F("window"))
    conditions = {
        "quota_in_range": Q(quota__gte=0, quota__lte=MAX_QUOTA),
        "fields_of_algorithm": of_window | of_calendar,
        "burst_of_bucket": Q(burst=None) | (of_bucket & refills),
    }
    return [models.CheckConstraint(condition=check, name=f"{model}_{name}") for name, check in conditions.items()]


def limit_uniques(model: str, parent: str) -> list[models.UniqueConstraint]:
    """One limit of a kind in each policy or override."""
    message = "There is a limit of this kind already: one algorithm and window, one limit."
    return [
        models.UniqueConstraint(
            fields=[parent, "algorithm", "window"],
            condition=Q(window__isnull=False),
            name=f"{model}_one_per_window",
            violation_error_message=message,
        ),
        models.UniqueConstraint(
            fields=[parent, "period"],
            condition=Q(period__isnull=False),
            name=f"{model}_one_per_period",
            violation_error_message=message,
        ),
    ]


class PolicyLimit(LimitFields):
    """A limit of a policy."""

    policy = models.ForeignKey("limits.Policy", on_delete=models.CASCADE, related_name="limits")
    history = RowHistory()

    class Meta:
        ordering = ["position", "id"]
        verbose_name = "limit"
        constraints = [*limit_checks("policylimit"), *limit_uniques("policylimit", "policy")]
