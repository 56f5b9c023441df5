"""The form of a block: the values it is filled in with, and its effect in words."""

import re
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from limits.admin.base import MAX_COUNTED_ROWS
from limits.admin.whom import Answer, WhomForm
from limits.models import Alert, Block, Client
from limits.monitoring.figures import client_by_hour
from limits.monitoring.messages import format_value
from ratelimit_enforcer.domain.addresses import IPV6_PREFIX, parse_address, parse_network
from ratelimit_enforcer.domain.blocks import Block as DomainBlock
from ratelimit_enforcer.domain.client import key_problem
from ratelimit_enforcer.domain.dates import end_in_words
from ratelimit_enforcer.domain.validation import MAX_REASON_LENGTH

USUAL_DURATION = timedelta(days=1)
IPV4_PREFIX = 24
"""The network that is suggested for an address: providers often assign such networks to one customer."""

WHOM = {
    "client_key": Answer("A client", "", "Enter the key of the client."),
    "prefix": Answer("All clients whose key begins with…", "", "Enter the beginning of the keys."),
    "network": Answer("A network of addresses", "", "Enter a network."),
}

_ROW_KEY = re.compile("[0-9]{1,18}")


class BlockForm(WhomForm):
    """Renews the block of the same subject if that has ended: a subject has one block."""

    answers = WHOM

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "whom" in self.fields:
            self.fields["whom"].label = "Block"
        for name in ("client_key", "prefix"):
            if name in self.fields:
                self.fields[name].strip = False  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        ends_at = cleaned.get("ends_at")
        if ends_at and "ends_at" in self.changed_data and ends_at <= timezone.now():
            self.add_error("ends_at", "The end is in the past.")
        return cleaned

    def _post_clean(self) -> None:
        whom = self.cleaned_data.get("whom", "")
        row = block_of(whom, self.cleaned_data.get(whom, "")) if self.instance.pk is None else None
        if row and row.has_ended:
            self.instance.pk, self.instance.created_at = row.pk, row.created_at
            self.instance._state.adding = False
        super()._post_clean()  # type: ignore[misc]


def block_of(whom: str, value: str) -> Block | None:
    """Returns the block of a client key, prefix or network; None if there is none."""
    if whom not in WHOM or not value or key_problem(value):
        return None
    if whom == "network":
        with suppress(ValueError):
            value = str(parse_network(value))
    return Block.objects.filter(**{whom: value}).first()


def suggestions(request: HttpRequest, given: dict[str, Any]) -> dict[str, Any]:
    """Returns the values that an empty form is filled in with. ``given``: those in the URL; ``client_key`` there
    suggests a prefix or a network too, and ``alert`` (its number) and the client's usage a reason."""
    key = given.get("client_key", "")
    found: dict[str, Any] = {"ends_at": (timezone.now() + USUAL_DURATION).replace(second=0, microsecond=0)}
    if not key or key_problem(key):
        return found | given
    found |= {"network": network_of(key), "prefix": prefix_of(key), "reason": _reason(request, key)}
    whom = request.GET.get("whom")
    return found | {"whom": whom if whom in WHOM else "client_key"} | given


def network_of(key: str) -> str:
    """Returns the network of a client that is named by its address (``ip:203.0.113.7``); empty for other keys."""
    address = parse_address(key.removeprefix("ip:").partition("/")[0]) if key.startswith("ip:") else None
    if address is None:
        return ""
    return str(ip_network((address, IPV4_PREFIX if address.version == 4 else IPV6_PREFIX), strict=False))


def prefix_of(key: str) -> str:
    """Returns the beginning of a key up to its last separator: ``acme-`` of ``acme-mobile``; or the whole key."""
    match = re.fullmatch(r"(.*[-_.:/@])[^-_.:/@]+", key, re.DOTALL)
    return match[1] if match else key


def _reason(request: HttpRequest, key: str) -> str:
    reason = _reason_of_alert(request) or _reason_of_usage(request, key)
    return (reason or f"Blocked by {request.user.get_username()}.")[:MAX_REASON_LENGTH]


def _reason_of_alert(request: HttpRequest) -> str:
    number = request.GET.get("alert", "")
    if not _ROW_KEY.fullmatch(number) or not request.user.has_perm("limits.view_alert"):
        return ""
    alert = Alert.objects.select_related("rule").filter(pk=number).first()
    return f"Alert “{alert.rule}”: {format_value(alert.highest, alert.rule)}." if alert else ""


def _reason_of_usage(request: HttpRequest, key: str) -> str:
    if not request.user.has_perm("limits.view_usage"):
        return ""
    hours = client_by_hour(key)
    denied, requests = sum(hour.denied for hour in hours), sum(hour.requests for hour in hours)
    return f"{denied:,} of {requests:,} requests denied within 24 hours." if requests else ""


def effect(block: DomainBlock) -> str:
    """Returns what a block does, in words."""
    return f"Denies all requests {_requests(block)}, {end_in_words(block.ends_at)}."


def _requests(block: DomainBlock) -> str:
    if block.network:
        return _from_network(block.network)
    if block.prefix:
        rows = Client.objects.filter(key__startswith=block.prefix).order_by()[: MAX_COUNTED_ROWS + 1].count()
        count = f"{rows:,}" if rows <= MAX_COUNTED_ROWS else f"more than {MAX_COUNTED_ROWS:,}"
        return f"of clients whose key begins with “{block.prefix}” ({count} registered, and all unregistered ones)"
    row = Client.objects.filter(key=block.client).first()
    return f"of the client {block.client} ({row.name or 'registered' if row else 'unregistered'})"


def _from_network(text: str) -> str:
    network = ip_network(text)
    if network.num_addresses == 1:
        return f"from the address {network.network_address}, whatever their client"
    count = f"{network.num_addresses:,} addresses, " if network.version == 4 else ""
    return f"from {network} ({count}{network[0]} to {network[-1]}), whatever their client"
