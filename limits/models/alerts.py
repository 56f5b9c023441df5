"""Alerts: the rules that people edit, what fired, and the messages about it."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from limits.conf import networks, setting
from limits.domain import alerting
from limits.domain.alerting import MAX_COOLDOWN, MAX_THRESHOLD, MAX_WINDOW, MINUTE
from limits.domain.webhooks import url_problem
from limits.domain.words import AlertMetric, Channel, GroupBy, MessageKind
from limits.models.endpoints import Endpoint
from limits.models.fields import choices, validate_printable, words_check
from limits.models.history import RowHistory
from limits.models.plans import Plan
from limits.models.policies import Policy
from limits.models.usage import OTHER, UNKNOWN_ENDPOINT


class AlertRule(models.Model):
    """When people are told, and who. Nothing is published: the rule holds from its next evaluation."""

    name = models.CharField(
        max_length=100,
        validators=[validate_printable],
        unique=True,
        help_text="Such as “search-abuse”; the subject of its messages begins with it.",
    )
    metric = models.CharField(
        max_length=20,
        choices=choices(AlertMetric),
        default=AlertMetric.THROTTLED.value,
        help_text="throttled: requests that were denied. throttled ratio: denied of all requests. usage ratio: a "
        "client reached a part of a quota. platform: something is wrong with the platform itself.",
    )
    threshold = models.FloatField(
        help_text="throttled: how many in the window. throttled ratio: which part, 0 to 1. usage ratio: 0.5, 0.8, 0.9 "
        "or 1. platform: 1."
    )
    min_requests = models.BigIntegerField(
        "of at least",
        default=1,
        help_text="throttled ratio: how many requests it takes in the window for their ratio to say something.",
    )
    window = models.PositiveIntegerField(
        default=MINUTE, help_text="In seconds, whole minutes: 60 looks at one minute by the clock, 300 at five."
    )
    client_key = models.CharField(
        "client", max_length=256, blank=True, help_text="The key of one client. Empty: every client."
    )
    plan = models.ForeignKey(
        Plan, null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text="Empty: every plan."
    )
    endpoint = models.ForeignKey(
        Endpoint, null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text="Empty: every endpoint."
    )
    policy = models.ForeignKey(
        Policy, null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text="Empty: every policy."
    )
    group_by = models.CharField(
        "for each",
        max_length=10,
        choices=choices(GroupBy),
        blank=True,
        help_text="Counts each client, endpoint or policy by itself. Empty: all together.",
    )
    cooldown = models.PositiveIntegerField(
        default=600, help_text="Seconds until the next message about the same matter, at the soonest."
    )
    emails = ArrayField(models.EmailField(), default=list, blank=True, help_text="Who gets the mail.")
    webhooks = ArrayField(
        models.CharField(max_length=500), default=list, blank=True, help_text="Addresses that get a signed POST."
    )
    notify_resolved = models.BooleanField("tell when it is over", default=False)

    history = RowHistory()

    class Meta:
        ordering = ["name"]
        constraints = [
            words_check("alertrule", "metric", AlertMetric),
            models.CheckConstraint(
                condition=Q(group_by__in=["", *(word.value for word in GroupBy)]), name="alertrule_group_by_known"
            ),
            models.CheckConstraint(
                condition=Q(threshold__gt=0, threshold__lte=MAX_THRESHOLD), name="alertrule_threshold_in_range"
            ),
            models.CheckConstraint(
                condition=Q(window__gte=MINUTE, window__lte=MAX_WINDOW) & Q(window=F("window") / MINUTE * MINUTE),
                name="alertrule_window_in_minutes",
            ),
            models.CheckConstraint(condition=Q(cooldown__lte=MAX_COOLDOWN), name="alertrule_cooldown_in_range"),
            models.CheckConstraint(
                condition=Q(emails__len__gte=1) | Q(webhooks__len__gte=1), name="alertrule_has_an_address"
            ),
            models.CheckConstraint(condition=Q(min_requests__gte=1), name="alertrule_min_requests_positive"),
        ]

    def __str__(self) -> str:
        return self.name

    def as_domain(self) -> alerting.AlertRule:
        """The rule as the rest of the platform knows it."""
        return alerting.AlertRule(
            name=self.name,
            metric=AlertMetric(self.metric),
            threshold=self.threshold,
            window=self.window,
            client=self.client_key or None,
            plan=self.plan.slug if self.plan else None,
            endpoint=self.endpoint.slug if self.endpoint else None,
            policy=self.policy.slug if self.policy else None,
            group_by=GroupBy(self.group_by) if self.group_by else None,
            cooldown=self.cooldown,
            emails=tuple(self.emails),
            webhooks=tuple(self.webhooks),
            min_requests=self.min_requests,
            notify_resolved=self.notify_resolved,
        )

    @property
    def sentence(self) -> str:
        """What it looks for, as a person reads it."""
        return alerting.alert_rule_sentence(self.as_domain())

    def clean(self) -> None:
        super().clean()
        known = self.metric in list(AlertMetric) and self.group_by in ["", *GroupBy]
        if not known or None in (self.threshold, self.window, self.cooldown, self.min_requests, self.emails):
            return
        errors = {field: message[:1].upper() + message[1:] for field, message in self._problems()}
        if errors:
            raise ValidationError(errors)

    def _problems(self) -> list[tuple[str, str]]:
        return [*alerting.alert_rule_problems(self.as_domain()), *webhook_problems(self.webhooks)]

    @property
    def destinations(self) -> list[tuple[Channel, str]]:
        """Whom its messages go to."""
        mails = [(Channel.MAIL, address) for address in self.emails]
        return mails + [(Channel.WEBHOOK, url) for url in self.webhooks]


def webhook_problems(urls: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields (field, what is wrong with these webhooks)."""
    if urls and not setting("WEBHOOK_SECRET"):
        yield "webhooks", "need WEBHOOK_SECRET to be set: without a signature nobody could trust them."
    for url in urls:
        if message := url_problem(url, networks("WEBHOOK_ALLOWED_NETWORKS")):
            yield "webhooks", f"{url} {message}"


class Alert(models.Model):
    """A rule that fired for one group, from when to when. ``group`` is the client's key, the slug of the
    endpoint or policy, or the name of the platform's problem; empty where the rule counts all together.

    ``value`` is the metric when the rule fired last, in the window that ends with ``last_minute``.
    ``told_at``: when people last heard of this matter, also in an alert before this one.
    """

    class State(models.TextChoices):
        OPEN = "open"
        ACKNOWLEDGED = "acknowledged"
        SILENCED = "silenced"
        RESOLVED = "resolved"

    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="alerts")
    group = models.CharField(max_length=256, blank=True)
    opened_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    value = models.FloatField(default=0)
    highest = models.FloatField(help_text="The highest value of the metric while the alert was open.")
    last_fired_at = models.DateTimeField()
    last_minute = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=200, blank=True)
    silenced_until = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)
    resolution_told_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-opened_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "group"], condition=Q(resolved_at=None), name="alert_one_open_per_group"
            ),
        ]
        indexes = [
            models.Index(fields=["rule", "group", "-opened_at"], name="alert_of_group"),
            models.Index(fields=["-opened_at"], name="alert_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.rule}: {self.group_name}"

    def save(self, **options: Any) -> None:
        """An alert that was just made fired when it opened."""
        self.last_fired_at = self.last_fired_at or self.opened_at
        self.last_minute = self.last_minute or self.opened_at.replace(second=0, microsecond=0)
        super().save(**options)

    @property
    def group_name(self) -> str:
        """The group as people read it."""
        if not self.rule.group_by:
            return self.group or "all together"
        nameless = OTHER if self.rule.group_by == GroupBy.CLIENT else UNKNOWN_ENDPOINT
        return self.group or nameless

    @property
    def state(self) -> State:
        """What it is now. Only an open alert makes messages."""
        if self.resolved_at is not None:
            return self.State.RESOLVED
        if self.silenced_until is not None and self.silenced_until > timezone.now():
            return self.State.SILENCED
        return self.State.OPEN if self.acknowledged_at is None else self.State.ACKNOWLEDGED


class Message(models.Model):
    """A message to one address or webhook, written with what it is about and sent after it, until it
    is delivered."""

    channel = models.CharField(max_length=10, choices=choices(Channel))
    kind = models.CharField(max_length=10, choices=choices(MessageKind))
    destination = models.CharField(max_length=500)
    alerts = models.ManyToManyField(Alert, related_name="messages")
    message_id = models.CharField(max_length=200, unique=True)
    subject = models.CharField(max_length=250)
    text = models.TextField()
    html = models.TextField()
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    problem = models.TextField(blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            words_check("message", "channel", Channel),
            words_check("message", "kind", MessageKind),
        ]
        indexes = [
            models.Index(fields=["channel", "next_attempt_at"], condition=Q(sent_at=None), name="message_waiting"),
            models.Index(fields=["-created_at"], name="message_newest"),
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def state(self) -> str:
        """What became of it, as people read it."""
        if self.sent_at:
            return f"sent {self.sent_at:%F %T}"
        if self.next_attempt_at is None:
            return f"given up after {self.attempts} attempts: {self.problem}"
        return f"waits for attempt {self.attempts + 1}. {self.problem}"
