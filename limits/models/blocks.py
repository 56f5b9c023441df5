"""Blocks: clients, key prefixes and networks all of whose requests are denied, registered or not. They are part of
the ruleset: no client is written for them."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from limits.models.clients import validate_key
from limits.models.fields import validate_printable
from limits.models.history import RowHistory
from ratelimit_enforcer.domain.addresses import parse_network
from ratelimit_enforcer.domain.blocks import Block as DomainBlock
from ratelimit_enforcer.domain.client import MAX_KEY_LENGTH
from ratelimit_enforcer.domain.dates import optional_microseconds
from ratelimit_enforcer.domain.validation import MAX_REASON_LENGTH, capitalized

MAX_NETWORK_LENGTH = 64


class Block(models.Model):
    """Denies all requests of one client, of clients with a key prefix, or from a network, until ``ends_at``."""

    client_key = models.CharField(
        "client",
        max_length=MAX_KEY_LENGTH,
        blank=True,
        validators=[validate_key],
        help_text="Key of a registered or unregistered client.",
    )
    prefix = models.CharField(
        "key prefix",
        max_length=MAX_KEY_LENGTH,
        blank=True,
        validators=[validate_key],
        help_text="All clients whose key begins with this text, registered or not.",
    )
    network = models.CharField(
        max_length=MAX_NETWORK_LENGTH,
        blank=True,
        help_text="All requests whose attribute ip is in this network, such as 203.0.113.0/24 or 2001:db8::/48.",
    )
    reason = models.CharField(
        max_length=MAX_REASON_LENGTH, validators=[validate_printable], help_text="Such as “scraping since Monday”."
    )
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Empty: no end.")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )

    history = RowHistory()

    class Meta:
        ordering = ["client_key", "prefix", "network"]
        constraints = [
            models.CheckConstraint(
                condition=Q(prefix="", network="") & ~Q(client_key="")
                | Q(client_key="", network="") & ~Q(prefix="")
                | Q(client_key="", prefix="") & ~Q(network=""),
                name="block_one_subject",
                violation_error_message="Enter exactly one of client, key prefix and network.",
            ),
            models.UniqueConstraint(
                fields=["client_key", "prefix", "network"],
                name="block_subject",
                violation_error_message="There is already a block of this client, key prefix or network: change it.",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="block_reason_not_empty"),
        ]

    def __str__(self) -> str:
        return str(self.as_domain())

    def as_domain(self) -> DomainBlock:
        """Returns the block as the domain object."""
        return DomainBlock(self.client_key, self.prefix, self.network, optional_microseconds(self.ends_at), self.reason)

    @property
    def has_ended(self) -> bool:
        """Whether the end has passed, by the clock of this server."""
        return self.ends_at is not None and self.ends_at <= timezone.now()

    def clean(self) -> None:
        if not self.network:
            return
        try:
            self.network = str(parse_network(self.network))
        except ValueError as error:
            raise ValidationError({"network": capitalized(str(error))}) from None
