"""Change sets: prepared changes to the rules, from the draft to the publication."""

import secrets
from collections.abc import Sequence

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from limits.domain.edits import Edit, edit_from_json, edit_to_json
from limits.domain.planned_changes import PlannedChange
from limits.models.fields import validate_printable
from limits.models.history import RowHistory
from limits.models.publishing import Publication
from ratelimit_enforcer.domain.dates import optional_microseconds
from ratelimit_enforcer.domain.validation import MAX_REASON_LENGTH, MAX_SLUG_LENGTH
from ratelimit_enforcer.domain.variants import Share

SALT_BYTES = 12


def new_salt() -> str:
    """A random salt, so that the first clients of one change set are not those of another, too."""
    return secrets.token_hex(SALT_BYTES)


class ChangeSet(models.Model):
    """Edits of plans, endpoints, policies, limits and overrides of segments, which nobody sees until they are
    published."""

    class State(models.TextChoices):
        DRAFT = "draft", "draft"
        AWAITING = "awaiting", "awaits approval"
        APPROVED = "approved", "approved"
        SCHEDULED = "scheduled", "scheduled"
        TRIAL = "trial", "tried on a share of the clients"
        PUBLISHED = "published", "published"
        REVERTED = "reverted", "reverted"
        WITHDRAWN = "withdrawn", "withdrawn"
        DISCARDED = "discarded", "discarded"

    EDITABLE = (State.DRAFT, State.AWAITING, State.APPROVED)
    """States in which nothing of the change set is published."""

    PLANNED = (State.SCHEDULED, State.TRIAL)
    """States in which the ruleset contains the edits, and the rows do not."""

    UNFINISHED = (*EDITABLE, *PLANNED)
    """States in which the edits are not part of the rows, and may become so."""

    name = models.CharField(max_length=100, validators=[validate_printable], help_text="Such as “Black Friday”.")
    reason = models.CharField(max_length=MAX_REASON_LENGTH, blank=True, validators=[validate_printable])
    state = models.CharField(max_length=10, choices=State.choices, default=State.DRAFT, editable=False)
    author = models.CharField(max_length=200, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    edits = models.JSONField(default=list, editable=False)
    ids = models.JSONField(default=dict, editable=False)
    """The primary keys of rows that exist in the draft only."""
    base = models.ForeignKey(Publication, null=True, editable=False, on_delete=models.SET_NULL, related_name="+")
    """The latest publication that the edits were compared with."""
    publish_at = models.DateTimeField("publish at", null=True, blank=True)
    revert_at = models.DateTimeField("revert at", null=True, blank=True, help_text="Empty: no end.")
    percent = models.PositiveSmallIntegerField(
        "share of clients",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(99)],
        help_text="Percent of all clients without a parent, with the clients below them.",
    )
    tag = models.CharField(
        max_length=MAX_SLUG_LENGTH, blank=True, help_text="Clients with this tag, instead of a share."
    )
    salt = models.CharField(max_length=2 * SALT_BYTES, default=new_salt, editable=False)
    max_denial_rate = models.PositiveSmallIntegerField(
        "withdraw above",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="Percent of denied requests of the clients in the share, at which it is withdrawn automatically.",
    )
    tried_since = models.DateTimeField(null=True, editable=False)
    """The time from which the present share of a trial is in force."""
    compared_with = models.BigIntegerField(default=0, db_default=0, editable=False)
    """The version up to which the author was notified of conflicts."""
    known_conflicts = models.JSONField(default=list, db_default=[], editable=False)
    """The conflicts with that version, as text: the path and the value found."""
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    approved_at = models.DateTimeField(null=True, editable=False)
    publication = models.ForeignKey(
        Publication, null=True, editable=False, on_delete=models.SET_NULL, related_name="change_sets"
    )
    """The version that published the edits: as planned, later for all clients."""
    request_key = models.CharField(max_length=32, blank=True, default="", db_default="", editable=False)
    """What identifies the request over HTTP that created it, if that had an ``Idempotency-Key``, in hexadecimal."""
    request_digest = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)
    """The SHA-256 of that request's body, in hexadecimal."""
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    history = RowHistory(excluded_fields=["ids", "request_key", "request_digest", "compared_with", "known_conflicts"])

    class Meta:
        verbose_name = "change set"
        ordering = ["-created_at", "-pk"]
        permissions = [
            ("publish_alone", "Can publish changes without approval"),
            ("approve_change", "Can approve changes of others"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(percent__isnull=True) | Q(percent__range=(1, 99)), name="changeset_percent_bounds"
            ),
            models.CheckConstraint(
                condition=Q(max_denial_rate__isnull=True) | Q(max_denial_rate__range=(1, 100)),
                name="changeset_denial_rate_bounds",
            ),
            models.CheckConstraint(
                condition=Q(percent__isnull=True) | Q(tag=""),
                name="changeset_percent_or_tag",
                violation_error_message="Choose either a share of the clients or a tag.",
            ),
            models.UniqueConstraint(
                fields=["name"],
                condition=Q(state__in=["draft", "awaiting", "approved", "scheduled", "trial"]),
                name="changeset_one_of_each_name",
                violation_error_message="An unfinished change has this name.",
            ),
            models.CheckConstraint(
                condition=Q(revert_at__isnull=True) | Q(publish_at__isnull=True) | Q(revert_at__gt=F("publish_at")),
                name="changeset_dates_in_order",
                violation_error_message="The change would be reverted before it is published.",
            ),
            models.UniqueConstraint(
                fields=["state"],
                condition=Q(state="trial"),
                name="changeset_one_trial",
                violation_error_message="Another change is being tried on a share of the clients.",
            ),
            models.CheckConstraint(
                condition=~Q(approved_by=F("user")) | Q(approved_by__isnull=True) | Q(user__isnull=True),
                name="changeset_approved_by_another",
                violation_error_message="Nobody approves their own change.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def list_of_edits(self) -> Sequence[Edit]:
        """The edits, as values."""
        return [edit_from_json(item) for item in self.edits]

    def set_edits(self, edits: Sequence[Edit]) -> None:
        """Replaces the edits, which withdraws an approval."""
        self.edits = [edit_to_json(edit) for edit in edits]
        self.approved_by = self.approved_at = None
        if self.state in (self.State.AWAITING, self.State.APPROVED):
            self.state = self.State.DRAFT

    def as_planned(self) -> PlannedChange:
        """The change set as the compiler of variants takes it."""
        if self.state == self.State.TRIAL:
            share = Share(self.name, self.salt, self.percent or 0, self.tag)
            return PlannedChange(self.name, self.list_of_edits, share=share)
        at = self.publish_at if self.state == self.State.SCHEDULED else None
        until = optional_microseconds(self.revert_at)
        return PlannedChange(self.name, self.list_of_edits, optional_microseconds(at), until)
