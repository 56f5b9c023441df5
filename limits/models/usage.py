"""Usage: what was requested, by minute. The drain writes these rows, and nobody edits them."""

from django.db import models
from django.db.models import Q

from limits.domain.words import Mode, Outcome
from limits.models.fields import choices, words_check

OTHER = "(other)"
"""How people read the empty client: callers beyond those that were counted by name."""

UNKNOWN_ENDPOINT = "(unknown)"
"""How people read the empty endpoint: one that nobody registered."""


class Counts(models.Model):
    """Requests of one client on one endpoint in one minute. An empty ``client_key`` stands for the
    callers that were counted together, an empty ``endpoint`` for what nobody registered."""

    minute = models.DateTimeField()
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


class Usage(Counts):
    """How many requests came out in one way, and what they cost together."""

    outcome = models.CharField(max_length=10, choices=choices(Outcome))
    cost = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "usage"
        ordering = ["-minute", "client_key", "endpoint", "outcome"]
        constraints = [
            models.UniqueConstraint(fields=["minute", "client_key", "endpoint", "outcome"], name="usage_one_row"),
            models.CheckConstraint(condition=Q(requests__gte=0, cost__gte=0), name="usage_not_negative"),
            words_check("usage", "outcome", Outcome),
        ]
        indexes = [models.Index(fields=["client_key", "-minute"], name="usage_of_client")]

    def __str__(self) -> str:
        return f"{self.requests:,} {self.outcome}: {self.client_name} on {self.endpoint_name}, {self.minute:%F %R}"


class PolicyDenial(Counts):
    """How many requests a policy denied (``enforce``), or would have denied (``shadow``)."""

    policy = models.CharField(max_length=64)
    mode = models.CharField(max_length=10, choices=choices(Mode))

    class Meta:
        verbose_name_plural = "denials by policy"
        ordering = ["-minute", "client_key", "endpoint", "policy", "mode"]
        constraints = [
            models.UniqueConstraint(
                fields=["minute", "client_key", "endpoint", "policy", "mode"], name="policydenial_one_row"
            ),
            models.CheckConstraint(condition=Q(requests__gte=0), name="policydenial_not_negative"),
            models.CheckConstraint(condition=Q(mode__in=["enforce", "shadow"]), name="policydenial_mode_known"),
        ]

    def __str__(self) -> str:
        verb = "denied" if self.mode == Mode.ENFORCE else "would have denied"
        return f"{self.policy} {verb} {self.requests:,}: {self.client_name}, {self.minute:%F %R}"


class UsageParcel(models.Model):
    """Counts that were brought from the store: an id that is here was written, and never again."""

    id = models.CharField(max_length=32, primary_key=True)
    written_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True, db_index=True)

    def __str__(self) -> str:
        return self.id
