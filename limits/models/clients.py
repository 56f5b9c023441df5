"""Clients, their overrides (individual limits in place of a policy's), the records of counter resets, and imports
from a file."""

from collections.abc import Collection
from datetime import datetime

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Collate, Length, Upper

from limits.domain.descriptions import dates_sentence
from limits.models.fields import choices, choices_check, tags_check, tags_field, validate_printable
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
from limits.models.trees import lock_trees, parent_problem
from ratelimit_enforcer.domain.client import MAX_KEY_LENGTH, key_problem
from ratelimit_enforcer.domain.dates import date_and_time
from ratelimit_enforcer.domain.enums import ClientStatus, Partition
from ratelimit_enforcer.domain.validation import MAX_REASON_LENGTH

models.CharField.register_lookup(Length)


def validate_key(key: str) -> None:
    """Raises ``ValidationError`` for text that cannot be a client's key."""
    if message := key_problem(key):
        raise ValidationError(f"A key {message}", code="invalid_key")


class Client(models.Model):
    """The subject of limits: an API key, a user, a tenant. A caller without a row is on the default plan.

    The database sets a new ``revision`` at every change of the client or the client's overrides.
    """

    key = models.CharField(
        max_length=MAX_KEY_LENGTH,
        unique=True,
        validators=[validate_key],
        help_text="Sent in check requests as “client”. Cannot be changed later.",
    )
    name = models.CharField(max_length=200, validators=[validate_printable], blank=True)
    plan = models.ForeignKey(
        Plan,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="clients",
        help_text="Empty: the default plan; for a client with a parent, the limits of its ancestors alone.",
    )
    status = models.CharField(
        max_length=10,
        choices=choices(ClientStatus),
        default=ClientStatus.ACTIVE.value,
        help_text="exempt: no limits apply, and no quota is consumed; blocked: all requests are denied.",
    )
    tags = tags_field("Lowercase words that group clients, such as “wholesale”: limits can be raised for a tag.")
    parent = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.RESTRICT,
        related_name="children",
        help_text="The client that this one belongs to, such as the organisation of an API key: the limits of its plan "
        "apply too, to all clients below it together. At most four levels.",
    )
    moved = models.BigIntegerField(default=0, db_default=0, editable=False)
    """The revision at which the parent was set or changed last; 0: never."""
    revision = models.BigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    history = RowHistory(excluded_fields=["revision", "moved", "updated_at"])

    class Meta:
        ordering = ["key"]
        permissions = [
            ("block_client", "Can block and unblock clients"),
            ("reset_client", "Can reset counters of clients"),
        ]
        indexes = [
            models.Index(OpClass(Upper("key"), name="text_pattern_ops"), name="client_key_search"),
            # Lists by code points, and by the beginning of the key, whatever the collation of the database.
            models.Index(Collate("key", "C"), name="client_key_order"),
            GinIndex(fields=["tags"], name="client_tags"),
            models.Index(OpClass(Upper("name"), name="text_pattern_ops"), name="client_name_search"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(key__length__gte=1), name="client_key_not_empty"),
            models.CheckConstraint(condition=~Q(key__regex="[\\x01-\\x1f\\x7f-\\x9f]"), name="client_key_printable"),
            choices_check("client", "status", ClientStatus),
            tags_check("client"),
        ]

    def __str__(self) -> str:
        return self.name or self.key

    @property
    def plan_in_effect(self) -> Plan | None:
        """The client's plan; for a root without one, the default plan; None for a client below a parent."""
        if self.plan is not None or self.parent_id is not None:
            return self.plan
        return Plan.objects.filter(is_default=True).first()

    def clean(self) -> None:
        self.tags = sorted(self.tags)
        stored = type(self).objects.filter(pk=self.pk).values_list("key", "parent_id").first()
        key, parent = stored or (self.key, None)
        if key != self.key:
            raise ValidationError({"key": f"The key “{key}” cannot be changed."})
        if parent != self.parent_id and connection.in_atomic_block:
            # A form is checked and saved in one transaction: the parent is still possible when it is saved.
            lock_trees()
        if self.parent is not None and (message := parent_problem(self, self.parent)):
            raise ValidationError({"parent": message})


class CounterReset(models.Model):
    """The record of a reset of a client's counters. The client need not be registered."""

    client_key = models.CharField("client", max_length=MAX_KEY_LENGTH, db_index=True)
    reason = models.CharField(max_length=MAX_REASON_LENGTH)
    author = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.client_key}, {date_and_time(self.created_at)}"


def _as_range(field: str) -> Func:
    """Returns a number as a range of one, since GiST compares ranges without a PostgreSQL extension.

    ``field`` is the name of the field, not of the column: Django's validation replaces field names by the
    values of a row, and would compare a column name (``client_id``) with itself.
    """
    return Func(F(field), F(field), Value("[]"), function="int8range")


class Override(models.Model):
    """Individual limits of a client in place of one policy's limits, for a period. An override is deleted
    with its client; a policy that has overrides cannot be deleted, so that no customer's agreement is lost
    unnoticed."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="overrides")
    policy = models.ForeignKey(
        Policy,
        on_delete=models.PROTECT,
        related_name="overrides",
        limit_choices_to={"partition": Partition.CLIENT.value},
    )
    starts_at = models.DateTimeField(null=True, blank=True, help_text="Empty: immediately.")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Empty: no end.")
    reason = models.CharField(
        max_length=500, validators=[validate_printable], blank=True, help_text="Such as “Christmas sale”."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )

    history = RowHistory()

    edited_together: Collection[int] = ()
    """Keys of overrides that are saved together with this one. Their rows are about to change, so this row is
    not compared with them; code that sets this compares the submitted values."""

    class Meta:
        ordering = ["client", "policy", "starts_at"]
        constraints = [
            ends_after_start_check("override"),
            ExclusionConstraint(
                name="override_no_overlap",
                expressions=[
                    (_as_range("client"), RangeOperators.OVERLAPS),
                    (_as_range("policy"), RangeOperators.OVERLAPS),
                    (
                        Func("starts_at", "ends_at", function="tstzrange", output_field=DateTimeRangeField()),
                        RangeOperators.OVERLAPS,
                    ),
                ],
                violation_error_message="Overlaps another override of this client and policy.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.client} on {self.policy}"

    def clean(self) -> None:
        require_end_after_start(self.starts_at, self.ends_at)
        if self.client_id and self.policy_id and (other := self.overlapping().first()):
            raise ValidationError({"starts_at": overlap_message(other)})

    def overlapping(self) -> "models.QuerySet[Override]":
        """Returns other overrides of this client and policy whose period overlaps with this one's."""
        times = active_between(self.starts_at, self.ends_at)
        rows = Override.objects.filter(times, client=self.client_id, policy=self.policy_id)
        return rows.exclude(pk__in={self.pk, *self.edited_together} - {None}).select_related("policy")

    @property
    def times(self) -> str:
        """The period for display: “from 1 Dec 2026, 00:00 UTC, until …”."""
        return dates_sentence(self.starts_at, self.ends_at)


def active_between(start: datetime | None, end: datetime | None) -> Q:
    """Returns a filter for overrides that are active at any time from ``start`` (None: no beginning) until
    ``end`` (None: no end)."""
    begins_before = Q() if end is None else Q(starts_at=None) | Q(starts_at__lt=end)
    ends_after = Q() if start is None else Q(ends_at=None) | Q(ends_at__gt=start)
    return begins_before & ends_after


def overlap_message(other: Override) -> str:
    """Returns the error message that names the overlapping override."""
    return f"Overlaps another override of this client and policy (“{other.policy}”: {other.times})."


class OverrideLimit(LimitFields):
    """One limit of an override, in place of the limits of its policy."""

    override = models.ForeignKey(Override, on_delete=models.CASCADE, related_name="limits")
    history = RowHistory()

    class Meta:
        ordering = ["position", "id"]
        verbose_name = "limit"
        constraints = [*limit_checks("overridelimit"), *limit_uniques("overridelimit", "override")]


class ClientImport(models.Model):
    """An uploaded file of clients: checked as a whole, then imported on demand.

    ``lines`` is the number of lines below the header, ``line`` the number of lines that the present step has
    processed. The file itself is removed once it is imported or rejected.

    A process that works on the file has a lease until ``leased_until`` and renews it with each chunk.
    ``interruptions`` counts the leases that expired since the last completed chunk.
    """

    class State(models.TextChoices):
        CHECKING = "checking", "being checked"
        REFUSED = "refused", "refused"
        CHECKED = "checked", "ready to import"
        IMPORTING = "importing", "being imported"
        DONE = "done", "imported"
        FAILED = "failed", "failed"

    file_name = models.CharField("file", max_length=200)
    content = models.TextField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.CHECKING)
    reason = models.CharField(
        max_length=MAX_REASON_LENGTH,
        validators=[validate_printable],
        help_text="One sentence, recorded in the history.",
    )
    author = models.CharField(max_length=200)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField("uploaded", auto_now_add=True)
    finished_at = models.DateTimeField("finished", null=True, blank=True)
    lines = models.PositiveIntegerField(default=0)
    line = models.PositiveIntegerField(default=0)
    added = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    examples = models.JSONField(default=list)
    problems = models.JSONField(default=list)
    leased_until = models.DateTimeField(null=True, editable=False)
    interruptions = models.PositiveSmallIntegerField(default=0, editable=False)
    problem_count = models.PositiveIntegerField("lines with errors", default=0)

    class Meta:
        ordering = ["-id"]
        verbose_name = "client import"
        verbose_name_plural = "client imports"

    def __str__(self) -> str:
        return f"{self.file_name}, {date_and_time(self.created_at)}"

    @property
    def is_under_way(self) -> bool:
        """Whether the file is being checked or imported, or waits for a worker to continue."""
        return self.state in (self.State.CHECKING, self.State.IMPORTING)
