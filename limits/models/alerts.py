"""Alerts: the rules that people edit, what fired, and the mails about it."""

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from limits.domain import alerting
from limits.domain.alerting import MAX_COOLDOWN, MAX_THRESHOLD, MAX_WINDOW, MINUTE
from limits.domain.words import AlertMetric, GroupBy
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
        help_text="Such as “search-abuse”; it is the mail's subject.",
    )
    metric = models.CharField(
        max_length=20,
        choices=choices(AlertMetric),
        default=AlertMetric.THROTTLED.value,
        help_text="throttled: requests that were denied.",
    )
    threshold = models.FloatField(help_text="How many it takes in the window.")
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
        default=600, help_text="Seconds until the next mail about the same matter, at the soonest."
    )
    emails = ArrayField(models.EmailField(), help_text="Who gets the mail.")

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
            models.CheckConstraint(condition=Q(emails__len__gte=1), name="alertrule_has_an_address"),
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
        )

    @property
    def sentence(self) -> str:
        """What it looks for, as a person reads it."""
        return alerting.alert_rule_sentence(self.as_domain())

    def clean(self) -> None:
        super().clean()
        known = self.metric in list(AlertMetric) and self.group_by in ["", *GroupBy]
        if not known or None in (self.threshold, self.window, self.cooldown) or self.emails is None:
            return
        errors = {field: message[:1].upper() + message[1:] for field, message in self._problems()}
        if errors:
            raise ValidationError(errors)

    def _problems(self) -> list[tuple[str, str]]:
        return list(alerting.alert_rule_problems(self.as_domain()))


class Alert(models.Model):
    """A rule that fired for one group, from when to when. ``group`` is the client's key, or the slug
    of the endpoint or policy; empty where the rule counts all together."""

    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="alerts")
    group = models.CharField(max_length=256, blank=True)
    opened_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    highest = models.FloatField(help_text="The highest value of the metric while the alert was open.")

    class Meta:
        ordering = ["-opened_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "group"], condition=Q(resolved_at=None), name="alert_one_open_per_group"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule}: {self.group_name}"

    @property
    def group_name(self) -> str:
        """The group as people read it."""
        if not self.rule.group_by:
            return "all together"
        nameless = OTHER if self.rule.group_by == GroupBy.CLIENT else UNKNOWN_ENDPOINT
        return self.group or nameless


class AlertMail(models.Model):
    """A mail about an alert, written with the alert and sent after it, until it is delivered."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="mails")
    message_id = models.CharField(max_length=200, unique=True)
    recipients = ArrayField(models.EmailField())
    subject = models.CharField(max_length=250)
    text = models.TextField()
    html = models.TextField()
    created_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    problem = models.TextField(blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(sent_at=None), name="alertmail_waiting"),
        ]

    def __str__(self) -> str:
        return self.subject
