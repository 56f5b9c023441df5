"""Alert rules, alerts, and the messages about them."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q, Value
from django.utils import timezone

from limits.domain import alert_rules
from limits.domain.alert_rules import MAX_COOLDOWN, MAX_THRESHOLD, MAX_WINDOW, SECONDS_PER_MINUTE
from limits.domain.webhook_addresses import url_problem
from limits.models.channels import channel_problems
from limits.models.fields import choices, choices_check, validate_printable
from limits.models.history import RowHistory
from limits.models.rules import Endpoint, Plan, Policy
from limits.models.usage import OTHER, UNKNOWN_ENDPOINT
from ratelimit_enforcer.conf import networks, setting
from ratelimit_enforcer.domain.dates import date_and_time
from ratelimit_enforcer.domain.enums import AlertMetric, Channel, GroupBy, MessageKind
from ratelimit_enforcer.domain.validation import MAX_REASON_LENGTH, MAX_SLUG_LENGTH, capitalized


class AlertRule(models.Model):
    """A condition on usage, and the recipients of its alerts. It is not part of the ruleset: a change applies
    from the next evaluation on."""

    name = models.CharField(
        max_length=100,
        validators=[validate_printable],
        unique=True,
        help_text="Such as “search-abuse”. Message subjects begin with the name.",
    )
    metric = models.CharField(
        max_length=20,
        choices=choices(AlertMetric),
        default=AlertMetric.THROTTLED.value,
        help_text="throttled: number of denied requests. throttled ratio: denied / all requests. usage ratio: a client "
        "reached a threshold of a quota. overdrawn: cost beyond quotas, debited. over quota: cost "
        "admitted and counted beyond quotas. platform: a problem with the platform itself.",
    )
    threshold = models.FloatField(
        help_text="throttled: number of requests in the window. throttled ratio: 0 to 1. usage ratio: 0.5, 0.8, 0.9 or "
        "1. overdrawn, over quota: units of cost in the window. platform: 1."
    )
    min_requests = models.BigIntegerField(
        "minimum requests",
        default=1,
        help_text="throttled ratio: the rule does not fire with fewer requests in the window.",
    )
    window = models.PositiveIntegerField(
        default=SECONDS_PER_MINUTE,
        help_text="In seconds, as whole minutes: 60 for one minute, 300 for five.",
    )
    client_key = models.CharField("client", max_length=256, blank=True, help_text="Client key. Empty: all clients.")
    plan = models.ForeignKey(
        Plan, null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text="Empty: all plans."
    )
    endpoint = models.ForeignKey(
        Endpoint, null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text="Empty: all endpoints."
    )
    policy = models.ForeignKey(
        Policy, null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text="Empty: all policies."
    )
    group_by = models.CharField(
        "group by",
        max_length=10,
        choices=choices(GroupBy),
        blank=True,
        help_text="Evaluates each client, endpoint or policy separately. Empty: all together.",
    )
    cooldown = models.PositiveIntegerField(
        default=600, help_text="Minimum number of seconds between two notifications about the same subject."
    )
    emails = ArrayField(models.EmailField(), default=list, blank=True, help_text="Email addresses.")
    webhooks = ArrayField(
        models.CharField(max_length=500), default=list, blank=True, help_text="URLs that receive a signed POST request."
    )
    channels = ArrayField(
        models.CharField(max_length=MAX_SLUG_LENGTH),
        default=list,
        db_default=Value("{}"),  # Servers of the release before add rows without this column.
        blank=True,
        help_text="Channels of Slack, Microsoft Teams, PagerDuty and other services.",
    )
    notify_resolved = models.BooleanField("notify when resolved", default=False)

    history = RowHistory()

    secret_fields = frozenset({"webhooks"})
    """Columns that the history shows as references (:mod:`limits.models.channel_secrets`)."""

    class Meta:
        ordering = ["name"]
        constraints = [
            choices_check("alertrule", "metric", AlertMetric),
            models.CheckConstraint(
                condition=Q(group_by__in=["", *(member.value for member in GroupBy)]), name="alertrule_group_by_known"
            ),
            models.CheckConstraint(
                condition=Q(threshold__gt=0, threshold__lte=MAX_THRESHOLD), name="alertrule_threshold_in_range"
            ),
            models.CheckConstraint(
                condition=Q(window__gte=SECONDS_PER_MINUTE, window__lte=MAX_WINDOW)
                & Q(window=F("window") / SECONDS_PER_MINUTE * SECONDS_PER_MINUTE),
                name="alertrule_window_in_minutes",
            ),
            models.CheckConstraint(condition=Q(cooldown__lte=MAX_COOLDOWN), name="alertrule_cooldown_in_range"),
            models.CheckConstraint(
                condition=Q(emails__len__gte=1) | Q(webhooks__len__gte=1) | Q(channels__len__gte=1),
                name="alertrule_has_an_address",
            ),
            models.CheckConstraint(condition=Q(min_requests__gte=1), name="alertrule_min_requests_positive"),
        ]

    def __str__(self) -> str:
        return self.name

    def as_domain(self) -> alert_rules.AlertRule:
        """Returns the rule as the domain object that evaluation and validation work with."""
        return alert_rules.AlertRule(
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
            channels=tuple(self.channels),
            min_requests=self.min_requests,
            notify_resolved=self.notify_resolved,
        )

    @property
    def sentence(self) -> str:
        """The condition as a sentence, such as “50 requests denied in 1 minute, for each client”."""
        return alert_rules.alert_rule_sentence(self.as_domain())

    def clean(self) -> None:
        super().clean()
        known = self.metric in list(AlertMetric) and self.group_by in ["", *GroupBy]
        if not known or None in (self.threshold, self.window, self.cooldown, self.min_requests, self.emails):
            return
        errors = {field: capitalized(message) for field, message in self._problems()}
        if errors:
            raise ValidationError(errors)

    def _problems(self) -> list[tuple[str, str]]:
        return [
            *alert_rules.alert_rule_problems(self.as_domain()),
            *webhook_problems(self.webhooks),
            *channel_problems(self.channels),
        ]

    @property
    def destinations(self) -> list[tuple[Channel, str]]:
        """The recipients as (channel, email address, URL or slug of a notification channel)."""
        return [
            *((Channel.MAIL, address) for address in self.emails),
            *((Channel.WEBHOOK, url) for url in self.webhooks),
            *((Channel.SERVICE, slug) for slug in self.channels),
        ]


def webhook_problems(urls: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields (field, what is wrong) for webhook URLs that may not be used, and for a missing secret."""
    if urls and not setting("WEBHOOK_SECRET"):
        yield "webhooks", "cannot be used until the setting WEBHOOK_SECRET is set."
    for url in urls:
        if message := url_problem(url, networks("WEBHOOK_ALLOWED_NETWORKS")):
            yield "webhooks", f"{url} {message}"


class Alert(models.Model):
    """A rule that fired for one group, with the time at which it opened and resolved. ``group`` is the
    client's key, the slug of the endpoint or policy, or the name of the platform's problem; empty if the rule
    evaluates all requests together.

    ``value`` is the metric when the rule last fired, in the window that ends with ``last_minute``.
    ``notified_at``: time of the last notification about this rule and group, including those for an earlier
    alert.
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
    highest = models.FloatField(help_text="Highest value of the metric while the alert was open.")
    last_fired_at = models.DateTimeField()
    last_minute = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=200, blank=True)
    silenced_until = models.DateTimeField(null=True, blank=True)
    silenced_by = models.CharField(max_length=200, blank=True, db_default="")
    silence_reason = models.CharField(max_length=MAX_REASON_LENGTH, blank=True, db_default="")
    # The columns keep the names that earlier releases use, which may run beside this one.
    notified_at = models.DateTimeField(null=True, blank=True, db_column="told_at")
    resolution_notified_at = models.DateTimeField(null=True, blank=True, db_column="resolution_told_at")

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
        """Saves the alert; a new alert has last fired when it opened."""
        self.last_fired_at = self.last_fired_at or self.opened_at
        self.last_minute = self.last_minute or self.opened_at.replace(second=0, microsecond=0)
        super().save(**options)

    @property
    def group_name(self) -> str:
        """The group as shown to people."""
        if not self.rule.group_by:
            return self.group or "all requests"
        unnamed = OTHER if self.rule.group_by == GroupBy.CLIENT else UNKNOWN_ENDPOINT
        return self.group or unnamed

    @property
    def state(self) -> State:
        """The present state. Only an open alert sends messages."""
        if self.resolved_at is not None:
            return self.State.RESOLVED
        if self.silenced_until is not None and self.silenced_until > timezone.now():
            return self.State.SILENCED
        return self.State.OPEN if self.acknowledged_at is None else self.State.ACKNOWLEDGED


class Message(models.Model):
    """A message to one email address, webhook or notification channel. It is written in the transaction that changes
    the alert, and sent afterwards, until it is delivered or given up."""

    channel = models.CharField(max_length=10, choices=choices(Channel))
    kind = models.CharField(max_length=20, choices=choices(MessageKind))
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
            choices_check("message", "channel", Channel),
            choices_check("message", "kind", MessageKind),
        ]
        indexes = [
            models.Index(fields=["channel", "next_attempt_at"], condition=Q(sent_at=None), name="message_waiting"),
            models.Index(fields=["-created_at"], name="message_newest"),
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def state(self) -> str:
        """The state of the delivery, as shown to people."""
        if self.sent_at:
            return f"sent {date_and_time(self.sent_at)}"
        if self.next_attempt_at is None:
            return f"given up after {self.attempts} attempts: {self.problem}"
        return f"waiting for attempt {self.attempts + 1}. {self.problem}"
