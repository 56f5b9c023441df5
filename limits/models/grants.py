"""Grants: units that a client may use beyond the quota of one policy, and the ledger of what was used of them."""

from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from limits.domain.descriptions import dates_sentence, dates_state
from limits.models.clients import Client
from limits.models.fields import validate_printable
from limits.models.history import RowHistory
from limits.models.rules import ENDS_BEFORE_START, Policy, require_end_after_start
from ratelimit_enforcer.domain.enums import Algorithm, Partition
from ratelimit_enforcer.domain.grants import MAX_AMOUNT, MAX_PRIORITY
from ratelimit_enforcer.domain.validation import MAX_REASON_LENGTH

NOT_COUNTED_BY_CLIENT = "This policy does not count each client separately (partition client, without attributes)."
NO_CALENDAR_LIMIT = "This policy has no calendar limit, such as a number per month, which a grant could extend."

GRANTABLE = Q(partition=Partition.CLIENT.value, attributes=[], limits__algorithm=Algorithm.CALENDAR.value)
"""The policies that grants can be for. A policy has at most one calendar limit per period, so rows may repeat."""


@dataclass(frozen=True, slots=True)
class GrantFigures:
    """What was used of a grant, in units: ``consumed`` and ``returned`` since it was created, both only increasing."""

    consumed: int = 0
    returned: int = 0

    @property
    def used(self) -> int:
        """The units that are used now."""
        return self.consumed - self.returned

    def remaining_of(self, amount: int) -> int:
        """What remains of this many units."""
        return max(0, amount - self.used)


class Grant(models.Model):
    """Units for a client on one policy, used after the quota of its longest calendar period, until ``ends_at``. A grant
    that was used is ended early, never deleted, except together with its client. The figures come from counts that were
    drained, so they lag a few seconds behind."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="grants")
    policy = models.ForeignKey(
        Policy,
        on_delete=models.PROTECT,
        related_name="grants",
        help_text="A policy with a calendar limit, such as a number per month, that counts each client separately.",
    )
    amount = models.PositiveBigIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(MAX_AMOUNT)],
        help_text="Units beyond the quota. What is not used remains available in later periods, until the grant ends.",
    )
    starts_at = models.DateTimeField("from", default=timezone.now)
    ends_at = models.DateTimeField("until", help_text="What remains then is no longer available.")
    priority = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(MAX_PRIORITY)],
        help_text="0 to 100. Of several grants, the lower priority is used first, then the one that ends first.",
    )
    reason = models.CharField(
        max_length=MAX_REASON_LENGTH,
        validators=[validate_printable],
        blank=True,
        help_text="Such as “order 2026-118”.",
    )
    author = models.CharField("by", max_length=200, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    request_key = models.CharField(max_length=32, null=True, unique=True, editable=False)
    """What identifies the request over HTTP that created it, if that had an ``Idempotency-Key``, in hexadecimal."""
    request_digest = models.CharField(max_length=64, blank=True, editable=False)
    """The SHA-256 of that request's body, in hexadecimal."""

    history = RowHistory(excluded_fields=["request_key", "request_digest"])

    class Meta:
        ordering = ["-ends_at", "pk"]
        indexes = [models.Index(fields=["ends_at"], name="grant_end")]
        constraints = [
            models.CheckConstraint(condition=Q(amount__range=(1, MAX_AMOUNT)), name="grant_amount_in_range"),
            models.CheckConstraint(condition=Q(priority__lte=MAX_PRIORITY), name="grant_priority_in_range"),
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")),
                name="grant_ends_after_start",
                violation_error_message=ENDS_BEFORE_START,
            ),
            models.UniqueConstraint(
                fields=["client", "policy", "starts_at"],
                name="grant_identity",
                violation_error_message="There is already a grant of this client and policy with this start.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount:,} of {self.policy} for {self.client}"

    @property
    def figures(self) -> GrantFigures:
        """What was used so far."""
        total = GrantTotal.objects.filter(grant=self.pk).first()
        return GrantFigures(total.consumed, total.returned) if total else GrantFigures()

    @property
    def dates(self) -> str:
        """The period for display: “from 1 Dec 2026, 00:00 UTC, until …”."""
        return dates_sentence(self.starts_at, self.ends_at)

    def state(self, now: datetime | None = None) -> str:
        """“scheduled”, “active” or “ended”."""
        return dates_state(self.starts_at, self.ends_at, now or timezone.now())

    def clean(self) -> None:
        require_end_after_start(self.starts_at, self.ends_at)
        if self.policy_id and (message := policy_problem(self.policy)):
            raise ValidationError({"policy": message})
        if self.pk and self.amount and (used := self.figures.used) > self.amount:
            raise ValidationError({"amount": below_use_message(used)})


def policy_problem(policy: Policy) -> str | None:
    """Returns why there can be no grant for this policy, or None."""
    if policy.partition != Partition.CLIENT or policy.attributes:
        return NOT_COUNTED_BY_CLIENT
    if not policy.limits.filter(algorithm=Algorithm.CALENDAR.value).exists():
        return NO_CALENDAR_LIMIT
    return None


def below_use_message(used: int) -> str:
    """Returns why the amount of a grant cannot be that low."""
    return f"{used:,} units are used already. To stop the grant, end it."


class GrantCounts(models.Model):
    """Units of one grant that were consumed and returned."""

    consumed = models.BigIntegerField()
    returned = models.BigIntegerField()

    class Meta:
        abstract = True


class GrantUse(GrantCounts):
    """The ledger: what was used of a grant in one hour. Never edited."""

    # The database deletes these rows with their grant: the drain may add one while Django collects what to delete.
    grant = models.ForeignKey(Grant, models.DO_NOTHING, db_constraint=False, related_name="uses")
    hour = models.DateTimeField()

    class Meta:
        ordering = ["-hour", "grant"]
        constraints = [
            models.UniqueConstraint(fields=["grant", "hour"], name="grantuse_one_row"),
            models.CheckConstraint(condition=Q(consumed__gte=0, returned__gte=0), name="grantuse_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.consumed:,} of grant {self.grant_id}, {self.hour:%F %R}"


class GrantTotal(GrantCounts):
    """The sum of the ledger of one grant, added to in the same transactions. No row: nothing was used."""

    grant = models.OneToOneField(Grant, models.DO_NOTHING, db_constraint=False, primary_key=True, related_name="total")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(consumed__gte=0, returned__gte=0), name="granttotal_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.consumed:,} of grant {self.grant_id}"
