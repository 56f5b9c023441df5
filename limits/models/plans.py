"""Plans."""

from django.db import models
from django.db.models import Q

from limits.models.fields import SlugKeptModel, slug_check, slug_field, validate_printable
from limits.models.history import RowHistory


class Plan(SlugKeptModel):
    """A tier that clients are on."""

    slug = slug_field("Names the plan in the config file and in answers. It cannot be changed later.")
    name = models.CharField(
        max_length=200, validators=[validate_printable], help_text="As your colleagues and your customers know it."
    )
    description = models.TextField(blank=True)
    is_default = models.BooleanField(
        "default plan",
        default=False,
        help_text="The plan of every client that has no plan of its own, and of every caller that is not registered. "
        "There is one default plan: ticked here, another plan stops being it.",
    )

    history = RowHistory()

    class Meta:
        ordering = ["name"]
        constraints = [
            slug_check("plan"),
            models.UniqueConstraint(
                fields=["is_default"],
                condition=Q(is_default=True),
                name="plan_one_default",
                violation_error_message="Another plan is the default already.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def end_defaults(cls, plans: "models.QuerySet[Plan]") -> None:
        """Makes room for another default plan, with a line in the history of the one before it."""
        for plan in plans.filter(is_default=True):
            plan.is_default = False
            plan.save(update_fields=["is_default"])
