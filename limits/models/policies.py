"""Policies."""

from django.db import models

from limits.domain.wording import limits_sentence
from limits.domain.words import Mode, OnStoreFailure, Partition
from limits.models.endpoints import Endpoint
from limits.models.fields import SlugKeptModel, choices, slug_check, slug_field, validate_printable, words_check
from limits.models.history import RowHistory
from limits.models.plans import Plan


class Policy(SlugKeptModel):
    """Limits for a plan on an endpoint."""

    slug = slug_field(
        "Names the policy in answers and headers. It cannot be changed later: a new policy is a new counter."
    )
    name = models.CharField(max_length=200, validators=[validate_printable], blank=True)
    plan = models.ForeignKey(
        Plan, null=True, blank=True, on_delete=models.PROTECT, related_name="policies", help_text="Empty: every plan."
    )
    endpoint = models.ForeignKey(
        Endpoint,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="policies",
        help_text="Empty: all requests of a client together, whatever the endpoint.",
    )
    partition = models.CharField(
        "counts together",
        max_length=10,
        choices=choices(Partition),
        default=Partition.CLIENT.value,
        help_text="client: each client by itself; global: all clients together, to protect the endpoint.",
    )
    mode = models.CharField(
        max_length=10,
        choices=choices(Mode),
        default=Mode.ENFORCE.value,
        help_text="enforce denies what is over the limit; shadow counts and reports, and never denies; "
        "disabled does nothing.",
    )
    on_store_failure = models.CharField(
        "while counters cannot be reached",
        max_length=10,
        choices=choices(OnStoreFailure),
        default=OnStoreFailure.LOCAL.value,
        help_text="local: each server goes on by itself with its share of the quota; allow: admit; deny: refuse.",
    )

    history = RowHistory()

    class Meta:
        ordering = ["slug"]
        verbose_name_plural = "policies"
        constraints = [
            slug_check("policy"),
            words_check("policy", "partition", Partition),
            words_check("policy", "mode", Mode),
            words_check("policy", "on_store_failure", OnStoreFailure),
        ]

    def __str__(self) -> str:
        return self.name or self.slug

    @property
    def sentence(self) -> str:
        """Its limits as a person reads them."""
        return limits_sentence(limit.as_domain() for limit in self.limits.all())
