"""The rules: plans, endpoints with their routes, and policies with their limits."""

from datetime import datetime
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q, Value

from limits.domain.descriptions import limit_sentence, limits_sentence
from limits.models.fields import ImmutableSlugModel, choices, choices_check, slug_check, slug_field, validate_printable
from limits.models.history import RowHistory
from limits.models.plan_order import MAX_PRICE_NOTE_LENGTH, last_position
from ratelimit_enforcer.domain.enums import Algorithm, Mode, OnStoreFailure, OverQuota, Partition, Period
from ratelimit_enforcer.domain.limit import (
    MAX_BURST,
    MAX_CONCURRENCY,
    MAX_COST,
    MAX_QUOTA,
    MAX_WINDOW_SECONDS,
    Limit,
    limit_problems,
)
from ratelimit_enforcer.domain.routes import Route as Pattern
from ratelimit_enforcer.domain.validation import (
    MAX_SLUG_LENGTH,
    ONE_CONCURRENCY_LIMIT,
    capitalized,
    conditions_problems,
    partition_problem,
    route_problem,
)

ENDS_BEFORE_START = "The end must be after the start."


class Plan(ImmutableSlugModel):
    """A tier that clients are assigned to."""

    slug = slug_field("Identifies the plan in the config file and in API responses. Cannot be changed later.")
    name = models.CharField(
        max_length=200, validators=[validate_printable], help_text="The name that colleagues and customers know."
    )
    price_note = models.CharField(
        max_length=MAX_PRICE_NOTE_LENGTH,
        validators=[validate_printable],
        blank=True,
        default="",
        db_default="",
        help_text="For people, such as “€ 49 a month”. It is not part of the limits, and not checked.",
    )
    description = models.TextField(blank=True)
    position = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    is_default = models.BooleanField(
        "default plan",
        default=False,
        help_text="The plan of clients without a plan and of unregistered clients. Only one plan is the default: "
        "ticking the box here clears it on the previous default plan.",
    )

    history = RowHistory()

    class Meta:
        ordering = ["position", "-is_default", "name"]
        constraints = [
            slug_check("plan"),
            models.UniqueConstraint(
                fields=["is_default"],
                condition=Q(is_default=True),
                name="plan_one_default",
                violation_error_message="Another plan is already the default.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Saves the plan; a new plan is the last one of an order that somebody has set."""
        if self._state.adding and not self.position:
            self.position = last_position(Plan.objects.all())
        super().save(*args, **kwargs)

    @classmethod
    def clear_default(cls, plans: "models.QuerySet[Plan]") -> None:
        """Clears the default flag of these plans before another plan gets it, with a history record."""
        for plan in plans.filter(is_default=True):
            plan.is_default = False
            plan.save(update_fields=["is_default"])


class Endpoint(ImmutableSlugModel):
    """A group of routes that policies protect."""

    slug = slug_field("Identifies the endpoint in check requests and in the config file. Cannot be changed later.")
    name = models.CharField(max_length=200, validators=[validate_printable])
    description = models.TextField(blank=True)
    cost = models.PositiveIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_COST)],
        help_text="Quota that one request consumes, unless the check request states another cost.",
    )

    history = RowHistory()

    class Meta:
        ordering = ["name"]
        constraints = [
            slug_check("endpoint"),
            models.CheckConstraint(condition=Q(cost__gte=1, cost__lte=MAX_COST), name="endpoint_cost_in_range"),
        ]

    def __str__(self) -> str:
        return self.name


class Route(models.Model):
    """A method and a path pattern of an endpoint. ``shape`` is the pattern without the names of its
    parameters; equal shapes mean equal patterns."""

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="routes")
    method = models.CharField(max_length=20, default="GET", help_text="GET, POST, …, or * for all methods.")
    path = models.CharField(
        max_length=500, help_text="Such as /api/products/{id}. A trailing /* matches every path below."
    )
    shape = models.CharField(max_length=600, unique=True, editable=False)
    position = models.PositiveSmallIntegerField(default=0, editable=False)

    history = RowHistory()

    class Meta:
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def clean(self) -> None:
        if message := route_problem(str(self)):
            raise ValidationError({"path": f"A route {message}"})
        self._set_shape()
        other = Route.objects.filter(shape=self.shape).exclude(pk=self.pk).select_related("endpoint").first()
        if other and other.endpoint_id != self.endpoint_id:
            raise ValidationError({"path": f"“{other}” of endpoint “{other.endpoint}” is the same pattern."})

    def save(self, *args: Any, **kwargs: Any) -> None:
        self._set_shape()
        super().save(*args, **kwargs)

    def _set_shape(self) -> None:
        pattern = Pattern.parse(str(self))
        self.method, self.shape = pattern.method, pattern.shape


class LimitFields(models.Model):
    """The columns of one limit."""

    quota = models.PositiveBigIntegerField(
        help_text="Maximum in the window, or at the same time. 0 denies all requests."
    )
    window = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="In seconds: 60 is a minute, 3600 an hour. Empty for calendar limits. Of a concurrency limit: the "
        "longest duration of a request.",
    )
    algorithm = models.CharField(
        max_length=20,
        choices=choices(Algorithm),
        default=Algorithm.SLIDING_WINDOW.value,
        help_text="A sliding window never admits more than the quota in any period of that length. A token bucket "
        "refills steadily and allows bursts. A fixed window resets at each full minute, hour, …; a calendar limit at "
        "each full hour, day, week, month or year in a time zone. A concurrency limit counts requests in progress.",
    )
    burst = models.PositiveBigIntegerField(
        null=True,
        blank=True,
        help_text="For token buckets: the largest burst. Empty: the quota.",
    )
    period = models.CharField(
        max_length=10,
        choices=choices(Period),
        null=True,
        blank=True,
        help_text="For calendar limits, instead of a window.",
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
        """Returns the limit as the domain object that validation and compilation work with."""
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
            errors.setdefault(field, []).append(capitalized(message))
        if errors:
            raise ValidationError(errors)


def limit_checks(model: str) -> list[models.CheckConstraint]:
    """Returns database constraints for the rules of :func:`ratelimit_enforcer.domain.limit.limit_problems`."""
    calendar = Q(algorithm=Algorithm.CALENDAR.value)
    windowed = Q(algorithm__in=[member.value for member in Algorithm if member is not Algorithm.CALENDAR])
    window = Q(window__gte=1, window__lte=MAX_WINDOW_SECONDS, window__isnull=False)
    of_window = windowed & window & Q(period=None, timezone=None)
    of_calendar = calendar & Q(window=None, period__isnull=False, period__in=[member.value for member in Period])
    of_bucket = Q(algorithm=Algorithm.TOKEN_BUCKET.value, burst__gte=1, burst__lte=MAX_BURST)
    of_concurrency = Q(algorithm=Algorithm.CONCURRENCY.value)
    quota = Q(quota__lte=MAX_CONCURRENCY) | (~of_concurrency & Q(quota__lte=MAX_QUOTA))
    refills = Q(quota=0) | Q(burst__lte=F("quota") * MAX_WINDOW_SECONDS / F("window"))
    conditions = {
        "quota_in_range": Q(quota__gte=0) & quota,
        "fields_of_algorithm": of_window | of_calendar,
        "burst_of_bucket": Q(burst=None) | (of_bucket & refills),
    }
    return [models.CheckConstraint(condition=check, name=f"{model}_{name}") for name, check in conditions.items()]


def limit_uniques(model: str, parent: str) -> list[models.UniqueConstraint]:
    """Returns constraints that allow one limit of each kind in a policy or override."""
    message = "Only one limit per algorithm and window is allowed."
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
        models.UniqueConstraint(
            fields=[parent],
            condition=Q(algorithm=Algorithm.CONCURRENCY.value),
            name=f"{model}_one_concurrency",
            violation_error_message=capitalized(ONE_CONCURRENCY_LIMIT),
        ),
    ]


def require_end_after_start(starts_at: datetime | None, ends_at: datetime | None) -> None:
    """Raises ``ValidationError`` for the field ``ends_at`` if the end is not after the start."""
    if starts_at and ends_at and ends_at <= starts_at:
        raise ValidationError({"ends_at": ENDS_BEFORE_START})


def ends_after_start_check(model: str) -> models.CheckConstraint:
    """Returns a database constraint for ``starts_at`` and ``ends_at``, of which either may be empty."""
    return models.CheckConstraint(
        condition=Q(starts_at=None) | Q(ends_at=None) | Q(ends_at__gt=F("starts_at")),
        name=f"{model}_ends_after_start",
        violation_error_message=ENDS_BEFORE_START,
    )


class PolicyLimit(LimitFields):
    """A limit of a policy."""

    policy = models.ForeignKey("limits.Policy", on_delete=models.CASCADE, related_name="limits")
    history = RowHistory()

    class Meta:
        ordering = ["position", "id"]
        verbose_name = "limit"
        constraints = [*limit_checks("policylimit"), *limit_uniques("policylimit", "policy")]


def validate_partition(attributes: list[str]) -> None:
    """Raises ``ValidationError`` for attributes that a policy cannot count separately."""
    if message := partition_problem(attributes):
        raise ValidationError(capitalized(message), code="invalid_partition")


def validate_match(conditions: Any) -> None:
    """Raises ``ValidationError`` for conditions that a policy cannot have."""
    if message := next(conditions_problems(conditions), None):
        raise ValidationError(": ".join(filter(None, message)), code="invalid_match")


class Policy(ImmutableSlugModel):
    """Limits of a plan on an endpoint."""

    slug = slug_field(
        "Identifies the policy in responses and headers. Cannot be changed later: each slug has separate counters."
    )
    name = models.CharField(max_length=200, validators=[validate_printable], blank=True)
    plan = models.ForeignKey(
        Plan, null=True, blank=True, on_delete=models.PROTECT, related_name="policies", help_text="Empty: all plans."
    )
    endpoint = models.ForeignKey(
        Endpoint,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="policies",
        help_text="Empty: all requests of a client together, on any endpoint.",
    )
    partition = models.CharField(
        max_length=10,
        choices=choices(Partition),
        default=Partition.CLIENT.value,
        help_text="client: each client separately; global: all clients together, to protect the endpoint.",
    )
    attributes = ArrayField(
        models.CharField(max_length=MAX_SLUG_LENGTH),
        default=list,
        db_default=Value("{}"),  # Servers of the release before add rows without this column.
        blank=True,
        validators=[validate_partition],
        help_text="Attributes of checks whose values are counted separately, such as “ip” or “model”.",
    )
    match = models.JSONField(
        "conditions",
        default=dict,
        db_default=Value({}, models.JSONField()),
        blank=True,
        validators=[validate_match],
        help_text="Attribute → patterns: the policy applies only to checks that match all of them.",
    )
    mode = models.CharField(
        max_length=10,
        choices=choices(Mode),
        default=Mode.ENFORCE.value,
        help_text="enforce: deny requests over the limit; shadow: only report requests over the limit; disabled: not "
        "evaluated.",
    )
    on_store_failure = models.CharField(
        "if Redis is down",
        max_length=10,
        choices=choices(OnStoreFailure),
        default=OnStoreFailure.LOCAL.value,
        help_text="local: each server enforces its share of the quota; allow: admit all; deny: deny all.",
    )
    over_quota = models.CharField(
        max_length=10,
        choices=choices(OverQuota),
        default=OverQuota.DENY.value,
        db_default=OverQuota.DENY.value,  # Servers of the release before add rows without this column.
        help_text="For calendar limits. deny: requests beyond the quota are denied; count: they are admitted, and the "
        "units beyond the quota are counted.",
    )
    starts_at = models.DateTimeField("applies from", null=True, blank=True, help_text="Empty: immediately.")
    ends_at = models.DateTimeField("applies until", null=True, blank=True, help_text="Empty: no end.")

    history = RowHistory()

    class Meta:
        ordering = ["slug"]
        verbose_name_plural = "policies"
        constraints = [
            slug_check("policy"),
            choices_check("policy", "partition", Partition),
            choices_check("policy", "mode", Mode),
            choices_check("policy", "on_store_failure", OnStoreFailure),
            choices_check("policy", "over_quota", OverQuota),
            ends_after_start_check("policy"),
        ]

    def __str__(self) -> str:
        return self.name or self.slug

    def clean(self) -> None:
        super().clean()
        require_end_after_start(self.starts_at, self.ends_at)

    @property
    def is_dated(self) -> bool:
        """Whether the policy has a start or an end."""
        return self.starts_at is not None or self.ends_at is not None

    @property
    def sentence(self) -> str:
        """The limits as a sentence."""
        return limits_sentence(limit.as_domain() for limit in self.limits.all())
