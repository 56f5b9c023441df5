"""Usage: requests by minute, hour and day. These rows are never edited.

The drain writes the minutes. They are rolled up into hours, and hours into days, so that long periods can be
read from few rows, and minutes need not be stored for long.
"""

from datetime import datetime
from enum import StrEnum

from django.db import models
from django.db.models import Q
from django.utils import timezone

from limits.models.fields import choices, choices_check
from ratelimit_enforcer.domain.enums import Mode, Outcome
from ratelimit_enforcer.domain.usage import THRESHOLDS

OTHER = "(other)"
"""Display name of the empty client: callers beyond those counted by name."""

UNKNOWN_ENDPOINT = "(unknown)"
"""Display name of the empty endpoint: any unregistered endpoint."""


class Counts(models.Model):
    """What was counted of one client on one endpoint in some period. An empty ``client_key`` stands for callers that
    were counted together, an empty ``endpoint`` for unregistered endpoints."""

    client_key = models.CharField("client", max_length=256, blank=True)
    endpoint = models.CharField(max_length=64, blank=True)

    class Meta:
        abstract = True

    @property
    def client_name(self) -> str:
        """The client as shown to people: the key, or “(other)”."""
        return self.client_key or OTHER

    @property
    def endpoint_name(self) -> str:
        """The endpoint as shown to people: the slug, or “(unknown)”."""
        return self.endpoint or UNKNOWN_ENDPOINT


class RequestCounts(Counts):
    """Requests of one client on one endpoint in some period."""

    requests = models.BigIntegerField()

    class Meta:
        abstract = True


class OutcomeCounts(RequestCounts):
    """The number of requests with one outcome, and their total cost."""

    outcome = models.CharField(max_length=10, choices=choices(Outcome))
    cost = models.BigIntegerField()

    class Meta:
        abstract = True


class DenialCounts(RequestCounts):
    """The number of requests that a policy denied (``enforce``) or would have denied (``shadow``)."""

    policy = models.CharField(max_length=64)
    mode = models.CharField(max_length=10, choices=choices(Mode))

    class Meta:
        abstract = True

    @property
    def verb(self) -> str:
        """The effect of the policy: “denied”, or in shadow mode “would have denied”."""
        return "denied" if self.mode == Mode.ENFORCE else "would have denied"


def _usage_constraints(name: str, time: str) -> list[models.BaseConstraint]:
    return [
        models.UniqueConstraint(fields=[time, "client_key", "endpoint", "outcome"], name=f"{name}_one_row"),
        models.CheckConstraint(condition=Q(requests__gte=0, cost__gte=0), name=f"{name}_not_negative"),
        choices_check(name, "outcome", Outcome),
    ]


def _denial_constraints(name: str, time: str) -> list[models.BaseConstraint]:
    return [
        models.UniqueConstraint(fields=[time, "client_key", "endpoint", "policy", "mode"], name=f"{name}_one_row"),
        models.CheckConstraint(condition=Q(requests__gte=0), name=f"{name}_not_negative"),
        models.CheckConstraint(condition=Q(mode__in=["enforce", "shadow"]), name=f"{name}_mode_known"),
    ]


def _denial_indexes(name: str, time: str) -> list[models.Index]:
    return [
        models.Index(fields=["client_key", f"-{time}"], name=f"{name}_of_client"),
        models.Index(fields=["policy", time], condition=Q(mode="shadow"), name=f"{name}_shadow"),
    ]


class Usage(OutcomeCounts):
    """Usage by minute."""

    minute = models.DateTimeField()

    class Meta:
        verbose_name_plural = "usage"
        ordering = ["-minute", "client_key", "endpoint", "outcome"]
        constraints = _usage_constraints("usage", "minute")
        indexes = [
            models.Index(fields=["client_key", "-minute"], name="usage_of_client"),
            # Alerts repeatedly query the denied requests of the last few minutes.
            models.Index(fields=["minute"], condition=Q(outcome="denied"), name="usage_denied"),
        ]

    def __str__(self) -> str:
        return f"{self.requests:,} {self.outcome}: {self.client_name} on {self.endpoint_name}, {self.minute:%F %R}"


class UsageHour(OutcomeCounts):
    """Usage by hour."""

    hour = models.DateTimeField()

    class Meta:
        verbose_name_plural = "usage by hour"
        ordering = ["-hour", "client_key", "endpoint", "outcome"]
        constraints = _usage_constraints("usagehour", "hour")
        indexes = [
            models.Index(fields=["client_key", "-hour"], name="usagehour_of_client"),
            models.Index(fields=["hour"], condition=Q(outcome="denied"), name="usagehour_denied"),
        ]

    def __str__(self) -> str:
        return f"{self.requests:,} {self.outcome}: {self.client_name} on {self.endpoint_name}, {self.hour:%F %R}"


class UsageDay(OutcomeCounts):
    """Usage by day, UTC. Clients that were not registered when the day was rolled up are counted together."""

    day = models.DateTimeField()

    class Meta:
        verbose_name_plural = "usage by day"
        ordering = ["-day", "client_key", "endpoint", "outcome"]
        constraints = _usage_constraints("usageday", "day")
        indexes = [models.Index(fields=["client_key", "-day"], name="usageday_of_client")]

    def __str__(self) -> str:
        return f"{self.requests:,} {self.outcome}: {self.client_name} on {self.endpoint_name}, {self.day:%F}"


class PolicyDenial(DenialCounts):
    """Denials by policy and minute."""

    minute = models.DateTimeField()

    class Meta:
        verbose_name_plural = "denials by policy"
        ordering = ["-minute", "client_key", "endpoint", "policy", "mode"]
        constraints = _denial_constraints("policydenial", "minute")
        indexes = _denial_indexes("policydenial", "minute")

    def __str__(self) -> str:
        return f"{self.policy} {self.verb} {self.requests:,}: {self.client_name}, {self.minute:%F %R}"


class PolicyDenialHour(DenialCounts):
    """Denials by policy and hour."""

    hour = models.DateTimeField()

    class Meta:
        verbose_name_plural = "denials by policy and hour"
        ordering = ["-hour", "client_key", "endpoint", "policy", "mode"]
        constraints = _denial_constraints("policydenialhour", "hour")
        indexes = _denial_indexes("policydenialhour", "hour")

    def __str__(self) -> str:
        return f"{self.policy} {self.verb} {self.requests:,}: {self.client_name}, {self.hour:%F %R}"


class PolicyDenialDay(DenialCounts):
    """Denials by policy and day, UTC."""

    day = models.DateTimeField()

    class Meta:
        verbose_name_plural = "denials by policy and day"
        ordering = ["-day", "client_key", "endpoint", "policy", "mode"]
        constraints = _denial_constraints("policydenialday", "day")
        indexes = _denial_indexes("policydenialday", "day")

    def __str__(self) -> str:
        return f"{self.policy} {self.verb} {self.requests:,}: {self.client_name}, {self.day:%F}"


class PolicyCounts(Counts):
    """The units of cost that a policy admitted beyond its quota, less those that were refunded, which may be more in
    one period: ``granted``, from grants; ``over_quota``, beyond quota and grants. The client is empty if the policy
    counts all clients together."""

    policy = models.CharField(max_length=64)
    granted = models.BigIntegerField()
    over_quota = models.BigIntegerField()

    class Meta:
        abstract = True


def _policy_constraints(name: str, time: str) -> list[models.BaseConstraint]:
    return [models.UniqueConstraint(fields=[time, "client_key", "endpoint", "policy"], name=f"{name}_one_row")]


class PolicyUsage(PolicyCounts):
    """Units beyond quotas by policy and minute."""

    minute = models.DateTimeField()

    class Meta:
        verbose_name_plural = "usage beyond quotas"
        ordering = ["-minute", "client_key", "endpoint", "policy"]
        constraints = _policy_constraints("policyusage", "minute")
        indexes = [models.Index(fields=["client_key", "-minute"], name="policyusage_of_client")]

    def __str__(self) -> str:
        return f"{self.policy}, {self.over_quota:,} over quota: {self.client_name}, {self.minute:%F %R}"


class PolicyUsageHour(PolicyCounts):
    """Units beyond quotas by policy and hour."""

    hour = models.DateTimeField()

    class Meta:
        verbose_name_plural = "usage beyond quotas by hour"
        ordering = ["-hour", "client_key", "endpoint", "policy"]
        constraints = _policy_constraints("policyusagehour", "hour")
        indexes = [models.Index(fields=["client_key", "-hour"], name="policyusagehour_of_client")]

    def __str__(self) -> str:
        return f"{self.policy}, {self.over_quota:,} over quota: {self.client_name}, {self.hour:%F %R}"


class PolicyUsageDay(PolicyCounts):
    """Units beyond quotas by policy and day, UTC. Clients that were not registered when the day was rolled up are
    counted together."""

    day = models.DateTimeField()

    class Meta:
        verbose_name_plural = "usage beyond quotas by day"
        ordering = ["-day", "client_key", "endpoint", "policy"]
        constraints = _policy_constraints("policyusageday", "day")
        indexes = [models.Index(fields=["client_key", "-day"], name="policyusageday_of_client")]

    def __str__(self) -> str:
        return f"{self.policy}, {self.over_quota:,} over quota: {self.client_name}, {self.day:%F}"


class QuotaThreshold(RequestCounts):
    """The number of times that a client's requests made a limit of a policy reach ``mark`` percent of the quota.
    The client is empty if the policy counts all clients together."""

    minute = models.DateTimeField()
    policy = models.CharField(max_length=64)
    mark = models.PositiveSmallIntegerField()

    class Meta:
        db_table = "limits_quotacrossing"
        verbose_name_plural = "quota thresholds"
        ordering = ["-minute", "client_key", "endpoint", "policy", "mark"]
        constraints = [
            models.UniqueConstraint(
                fields=["minute", "client_key", "endpoint", "policy", "mark"], name="quotacrossing_one_row"
            ),
            models.CheckConstraint(condition=Q(mark__in=THRESHOLDS), name="quotacrossing_mark_known"),
        ]
        indexes = [models.Index(fields=["client_key", "-minute"], name="quotacrossing_of_client")]

    def __str__(self) -> str:
        return f"{self.client_name} reached {self.mark} % of {self.policy}, {self.minute:%F %R}"


class UsageParcel(models.Model):
    """A batch of counts drained from the store: if its id is in this table, its counts were added, and are
    never added again."""

    id = models.CharField(max_length=32, primary_key=True)
    written_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True, db_index=True)

    def __str__(self) -> str:
        return self.id


class Work(StrEnum):
    """Kinds of periodic work."""

    DRAIN = "drain"
    """Draining usage counts from the store."""
    HOURS = "hours"
    """Rolling minutes up into hours: all earlier minutes are included in hours."""
    DAYS = "days"
    """Rolling hours up into days: all earlier hours are included in days."""
    QUOTAS = "quotas"
    """Reading how much of the quotas clients use: all clients with earlier requests were read."""


class Progress(models.Model):
    """The progress of periodic work: everything up to ``at`` is done."""

    work = models.CharField(max_length=20, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.work}: {self.at:%F %T}"

    @classmethod
    def note(cls, work: Work, at: datetime | None = None) -> None:
        """Records that everything up to ``at`` (default: now) is done."""
        cls.objects.update_or_create(work=work.value, defaults={"at": at or timezone.now()})

    @classmethod
    def of(cls, work: Work) -> datetime | None:
        """Returns the time up to which the work is done; None if it was never done."""
        return cls.objects.filter(work=work.value).values_list("at", flat=True).first()
