"""Usage: what was requested, by minute, hour and day. Nobody edits these rows.

The drain writes the minutes. They are added up to hours, and hours to days, so that longer stretches
are read from few rows, and so that minutes need not be kept for long.
"""

from django.db import models
from django.db.models import Q

from limits.domain.counting import MARKS
from limits.domain.words import Mode, Outcome
from limits.models.fields import choices, words_check

OTHER = "(other)"
"""How people read the empty client: callers beyond those that were counted by name."""

UNKNOWN_ENDPOINT = "(unknown)"
"""How people read the empty endpoint: one that nobody registered."""


class Counts(models.Model):
    """Requests of one client on one endpoint in some stretch of time. An empty ``client_key`` stands
    for the callers that were counted together, an empty ``endpoint`` for what nobody registered."""

    client_key = models.CharField("client", max_length=256, blank=True)
    endpoint = models.CharField(max_length=64, blank=True)
    requests = models.BigIntegerField()

    class Meta:
        abstract = True

    @property
    def client_name(self) -> str:
        return self.client_key or OTHER

    @property
    def endpoint_name(self) -> str:
        return self.endpoint or UNKNOWN_ENDPOINT


class OutcomeCounts(Counts):
    """How many requests came out in one way, and what they cost together."""

    outcome = models.CharField(max_length=10, choices=choices(Outcome))
    cost = models.BigIntegerField()

    class Meta:
        abstract = True


class DenialCounts(Counts):
    """How many requests a policy denied (``enforce``), or would have denied (``shadow``)."""

    policy = models.CharField(max_length=64)
    mode = models.CharField(max_length=10, choices=choices(Mode))

    class Meta:
        abstract = True

    @property
    def verb(self) -> str:
        return "denied" if self.mode == Mode.ENFORCE else "would have denied"


def _usage_constraints(name: str, time: str) -> list[models.BaseConstraint]:
    return [
        models.UniqueConstraint(fields=[time, "client_key", "endpoint", "outcome"], name=f"{name}_one_row"),
        models.CheckConstraint(condition=Q(requests__gte=0, cost__gte=0), name=f"{name}_not_negative"),
        words_check(name, "outcome", Outcome),
    ]


def _denial_constraints(name: str, time: str) -> list[models.BaseConstraint]:
    return [
        models.UniqueConstraint(fields=[time, "client_key", "endpoint", "policy", "mode"], name=f"{name}_one_row"),
        models.CheckConstraint(condition=Q(requests__gte=0), name=f"{name}_not_negative"),
        models.CheckConstraint(condition=Q(mode__in=["enforce", "shadow"]), name=f"{name}_mode_known"),
    ]


class Usage(OutcomeCounts):
    """By minute."""

    minute = models.DateTimeField()

    class Meta:
        verbose_name_plural = "usage"
        ordering = ["-minute", "client_key", "endpoint", "outcome"]
        constraints = _usage_constraints("usage", "minute")
        indexes = [
            models.Index(fields=["client_key", "-minute"], name="usage_of_client"),
            # Alerts ask for the denied ones of a few minutes, again and again.
            models.Index(fields=["minute"], condition=Q(outcome="denied"), name="usage_denied"),
        ]

    def __str__(self) -> str:
        return f"{self.requests:,} {self.outcome}: {self.client_name} on {self.endpoint_name}, {self.minute:%F %R}"


class UsageHour(OutcomeCounts):
    """By hour."""

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
    """By day, UTC. Clients that were not registered when the day's rows were made are together."""

    day = models.DateTimeField()

    class Meta:
        verbose_name_plural = "usage by day"
        ordering = ["-day", "client_key", "endpoint", "outcome"]
        constraints = _usage_constraints("usageday", "day")
        indexes = [models.Index(fields=["client_key", "-day"], name="usageday_of_client")]

    def __str__(self) -> str:
        return f"{self.requests:,} {self.outcome}: {self.client_name} on {self.endpoint_name}, {self.day:%F}"


class PolicyDenial(DenialCounts):
    """By minute."""

    minute = models.DateTimeField()

    class Meta:
        verbose_name_plural = "denials by policy"
        ordering = ["-minute", "client_key", "endpoint", "policy", "mode"]
        constraints = _denial_constraints("policydenial", "minute")
        indexes = [models.Index(fields=["client_key", "-minute"], name="policydenial_of_client")]

    def __str__(self) -> str:
        return f"{self.policy} {self.verb} {self.requests:,}: {self.client_name}, {self.minute:%F %R}"


class PolicyDenialHour(DenialCounts):
    """By hour."""

    hour = models.DateTimeField()

    class Meta:
        verbose_name_plural = "denials by policy and hour"
        ordering = ["-hour", "client_key", "endpoint", "policy", "mode"]
        constraints = _denial_constraints("policydenialhour", "hour")
        indexes = [models.Index(fields=["client_key", "-hour"], name="policydenialhour_of_client")]

    def __str__(self) -> str:
        return f"{self.policy} {self.verb} {self.requests:,}: {self.client_name}, {self.hour:%F %R}"


class PolicyDenialDay(DenialCounts):
    """By day, UTC."""

    day = models.DateTimeField()

    class Meta:
        verbose_name_plural = "denials by policy and day"
        ordering = ["-day", "client_key", "endpoint", "policy", "mode"]
        constraints = _denial_constraints("policydenialday", "day")
        indexes = [models.Index(fields=["client_key", "-day"], name="policydenialday_of_client")]

    def __str__(self) -> str:
        return f"{self.policy} {self.verb} {self.requests:,}: {self.client_name}, {self.day:%F}"


class QuotaCrossing(Counts):
    """How often requests of a client took a limit of a policy over ``mark`` percent of its quota.
    Where a policy counts all clients together, nobody is named."""

    minute = models.DateTimeField()
    policy = models.CharField(max_length=64)
    mark = models.PositiveSmallIntegerField()

    class Meta:
        verbose_name_plural = "crossings of quotas"
        ordering = ["-minute", "client_key", "endpoint", "policy", "mark"]
        constraints = [
            models.UniqueConstraint(
                fields=["minute", "client_key", "endpoint", "policy", "mark"], name="quotacrossing_one_row"
            ),
            models.CheckConstraint(condition=Q(mark__in=MARKS), name="quotacrossing_mark_known"),
        ]
        indexes = [models.Index(fields=["client_key", "-minute"], name="quotacrossing_of_client")]

    def __str__(self) -> str:
        return f"{self.client_name} reached {self.mark} % of {self.policy}, {self.minute:%F %R}"


class UsageParcel(models.Model):
    """Counts that were brought from the store: an id that is here was written, and never again."""

    id = models.CharField(max_length=32, primary_key=True)
    written_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True, db_index=True)

    def __str__(self) -> str:
        return self.id
