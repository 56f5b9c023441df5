"""Simulations: recorded usage under the live rules and under those of a change set."""

from typing import Any

from django.db import models
from django.db.models import F, Q

from limits.models.change_sets import ChangeSet
from ratelimit_enforcer.domain.client import MAX_KEY_LENGTH
from ratelimit_enforcer.domain.dates import date_and_time
from ratelimit_enforcer.domain.validation import MAX_SLUG_LENGTH


class Simulation(models.Model):
    """One run of a simulation. A process that works on it has a lease until ``leased_until`` and renews it while it
    makes progress; ``interruptions`` counts the leases that expired."""

    class State(models.TextChoices):
        WAITING = "waiting", "waits for a worker"
        RUNNING = "running", "running"
        DONE = "done", "done"
        FAILED = "failed", "failed"

    UNFINISHED = (State.WAITING, State.RUNNING)

    change_set = models.ForeignKey(ChangeSet, on_delete=models.CASCADE, related_name="simulations")
    begin = models.DateTimeField("from", help_text="Requests from this minute on.")
    end = models.DateTimeField("until", help_text="Requests before this minute.")
    edits = models.JSONField(default=list, editable=False)
    """Those of the change set when the simulation was started."""
    in_force_at = models.DateTimeField(editable=False)
    """The moment whose policies and overrides are compared: those with dates may begin or end."""
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING, editable=False)
    progress = models.PositiveSmallIntegerField(default=0, editable=False)
    totals = models.JSONField(default=dict, editable=False)
    """Sums of :class:`DeniedBounds` and of clients: of everything, and by plan, endpoint and policy."""
    problems = models.JSONField(default=list, editable=False)
    """Sentences: what could not be simulated, or the reason why the simulation failed."""
    author = models.CharField(max_length=200, editable=False)
    created_at = models.DateTimeField("started", auto_now_add=True)
    finished_at = models.DateTimeField("finished", null=True, editable=False)
    leased_until = models.DateTimeField(null=True, editable=False)
    interruptions = models.PositiveSmallIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(end__gt=F("begin")),
                name="simulation_ends_after_start",
                violation_error_message="The end is not after the beginning.",
            ),
            models.CheckConstraint(condition=Q(progress__lte=100), name="simulation_progress_bounds"),
        ]

    def __str__(self) -> str:
        return f"{self.change_set}, {date_and_time(self.begin)} to {date_and_time(self.end)}"

    @property
    def is_under_way(self) -> bool:
        """Whether the simulation runs, or waits for a worker to begin or continue."""
        return self.state in self.UNFINISHED

    @property
    def is_outdated(self) -> bool:
        """Whether the change set was edited afterwards."""
        return bool(self.edits != self.change_set.edits)


class DeniedBounds(models.Model):
    """Requests, and how many of them are denied at least and at most: under the live rules (``before``) and under those
    of the change set (``after``)."""

    requests = models.BigIntegerField()
    before_least = models.BigIntegerField()
    before_most = models.BigIntegerField()
    after_least = models.BigIntegerField()
    after_most = models.BigIntegerField()

    class Meta:
        abstract = True

    @property
    def bounds(self) -> dict[str, Any]:
        """The five numbers by name."""
        return {name: getattr(self, name) for name in FIGURES}


FIGURES = ("requests", "before_least", "before_most", "after_least", "after_most")
"""The names of the figures, in the order of the columns."""


class SimulatedClient(DeniedBounds):
    """The bounds of one client: of all requests (neither endpoint nor policy), of those to an endpoint, or of one
    policy. There are rows only where requests may be denied, before or after."""

    simulation = models.ForeignKey(Simulation, on_delete=models.CASCADE, related_name="clients")
    client_key = models.CharField("client", max_length=MAX_KEY_LENGTH)
    plan = models.CharField(max_length=MAX_SLUG_LENGTH, blank=True)
    endpoint = models.CharField(max_length=MAX_SLUG_LENGTH, null=True)
    """None: all endpoints; empty: unregistered ones."""
    policy = models.CharField(max_length=MAX_SLUG_LENGTH, null=True)
    """None: all policies."""

    class Meta:
        ordering = ["simulation", "client_key", "endpoint", "policy"]
        constraints = [
            models.UniqueConstraint(
                fields=["simulation", "client_key", "endpoint", "policy"],
                nulls_distinct=False,
                name="simulatedclient_one_row",
            ),
            models.CheckConstraint(
                condition=Q(before_least__gte=0, after_least__gte=0)
                & Q(before_most__gte=F("before_least"), after_most__gte=F("after_least"))
                & Q(requests__gte=F("before_most"))
                & Q(requests__gte=F("after_most")),
                name="simulatedclient_bounds_in_order",
            ),
        ]
        indexes = [models.Index(fields=["client_key"], name="simulatedclient_client")]

    def __str__(self) -> str:
        where = [part for part in (self.client_key, self.endpoint, self.policy) if part is not None]
        return (
            f"{', '.join(where)}: {self.before_least} to {self.before_most} → {self.after_least} to {self.after_most}"
        )
