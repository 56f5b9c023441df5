"""Imports of clients from a file: what was asked, how far it is, what is wrong."""

from django.conf import settings
from django.db import models

from limits.domain.validation import MAX_REASON_LENGTH
from limits.models.fields import validate_printable

FINISHED = ("refused", "done", "failed")


class ClientImport(models.Model):
    """A file of clients on its way into the database: checked as a whole, then imported on demand.

    ``lines`` are the lines of the file below its header, ``line`` is how many of them the present
    step has been through. The file itself is removed once it is imported or refused.

    A process that works on the file holds a lease until ``leased_until`` and renews it with each
    chunk. ``interruptions`` counts the leases that ran out since the last chunk was completed.
    """

    class State(models.TextChoices):
        CHECKING = "checking", "being checked"
        REFUSED = "refused", "refused"
        CHECKED = "checked", "ready to be imported"
        IMPORTING = "importing", "being imported"
        DONE = "done", "imported"
        FAILED = "failed", "failed"

    file_name = models.CharField("file", max_length=200)
    content = models.TextField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.CHECKING)
    reason = models.CharField(
        max_length=MAX_REASON_LENGTH, validators=[validate_printable], help_text="For the history, in one sentence."
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
    problem_count = models.PositiveIntegerField("wrong lines", default=0)

    class Meta:
        ordering = ["-id"]
        verbose_name = "import of clients"
        verbose_name_plural = "imports of clients"

    def __str__(self) -> str:
        return f"{self.file_name}, {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def is_under_way(self) -> bool:
        """Whether it is being checked or imported, or waits for a worker to continue."""
        return self.state in (self.State.CHECKING, self.State.IMPORTING)
