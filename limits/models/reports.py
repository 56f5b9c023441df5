"""What reports need besides counts: plan, tags and tree of each client at the time, and counts that arrived late.

Triggers write the first two tables, also for bulk changes and for rows that no Django process changed.
"""

from datetime import timedelta
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from limits.models.usage import Counts
from ratelimit_enforcer.domain.client import MAX_KEY_LENGTH
from ratelimit_enforcer.domain.validation import MAX_SLUG_LENGTH

MONTH_CLOSES_AFTER = timedelta(hours=24)
"""A month closes this long after its end: counts that arrive later are adjustments."""


class RecordedHours(models.Model):
    """From one whole hour until another (None: until now). A change takes effect in the next hour, so that each hour
    counts with the state at its beginning."""

    from_hour = models.DateTimeField()
    until_hour = models.DateTimeField(null=True)

    class Meta:
        abstract = True


class RecordedClient(RecordedHours):
    """Plan, tags and root of a registered client in some hours; an hour without a row counts as unregistered.

    ``plan``: the slug; empty for a client without one. ``on_default``: such a client is on the default plan of the
    time, because it has no parent either. ``root``: the key at the top of its tree, for a client without a parent its
    own; empty if that client was erased.
    """

    client_key = models.CharField("client", max_length=MAX_KEY_LENGTH)
    plan = models.CharField(max_length=MAX_SLUG_LENGTH, blank=True)
    on_default = models.BooleanField()
    tags = ArrayField(models.CharField(max_length=MAX_SLUG_LENGTH))
    root = models.CharField(max_length=MAX_KEY_LENGTH, blank=True)

    class Meta:
        ordering = ["client_key", "from_hour"]
        constraints = [
            models.UniqueConstraint(fields=["client_key", "from_hour"], name="recordedclient_one_row"),
            models.CheckConstraint(condition=Q(until_hour__gt=F("from_hour")), name="recordedclient_not_empty"),
        ]
        indexes = [
            # For the erasure of a client, and for the days in which a client changed.
            models.Index(fields=["root"], condition=~Q(root=F("client_key")), name="recordedclient_in_tree"),
            models.Index(fields=["from_hour"], name="recordedclient_from"),
            models.Index(fields=["until_hour"], condition=Q(until_hour__isnull=False), name="recordedclient_until"),
        ]

    def __str__(self) -> str:
        return f"{self.client_key} from {self.from_hour:%F %R}: {self.plan or 'no plan'}"


class RecordedDefaultPlan(RecordedHours):
    """The default plan (its slug) in some hours; none in hours without a row."""

    plan = models.CharField(max_length=MAX_SLUG_LENGTH)

    class Meta:
        ordering = ["from_hour"]
        constraints = [
            models.CheckConstraint(condition=Q(until_hour__gt=F("from_hour")), name="recordeddefaultplan_not_empty"),
        ]

    def __str__(self) -> str:
        return f"{self.plan} from {self.from_hour:%F %R}"


def _number() -> Any:
    return models.BigIntegerField(default=0, db_default=0)


class LateCount(Counts):
    """Counts of one client on one endpoint and hour that the drain wrote more than 24 hours after their minute, in
    addition to the rows of usage. ``arrived``: the hour in which they were written.

    Only these have a value together: ``outcome`` (requests and cost), ``policy`` and ``mode`` (denied requests),
    ``policy`` alone (units beyond its quota), or none (figures of settlements).
    """

    arrived = models.DateTimeField()
    hour = models.DateTimeField()
    outcome = models.CharField(max_length=10, blank=True, db_default="")
    policy = models.CharField(max_length=MAX_SLUG_LENGTH, blank=True, db_default="")
    mode = models.CharField(max_length=10, blank=True, db_default="")
    requests = _number()
    cost = _number()
    reserved = _number()
    settlements = _number()
    settled = _number()
    refunded = _number()
    debited = _number()
    overdrawn = _number()
    granted = _number()
    over_quota = _number()

    class Meta:
        ordering = ["hour", "client_key"]
        indexes = [
            models.Index(fields=["hour"], name="latecount_hour"),
            models.Index(fields=["client_key"], name="latecount_client"),
        ]

    def __str__(self) -> str:
        return f"{self.client_name} on {self.endpoint_name}, {self.hour:%F %R}, arrived {self.arrived:%F %R}"
