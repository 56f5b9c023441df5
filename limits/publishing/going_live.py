"""What a save or a command does after its commit: rules into force, and a store that can decide."""

import structlog

from limits.models import Client
from limits.publishing import clients, rules
from limits.publishing.delivery import Delivery, not_reachable, ruleset_writer
from limits.store.errors import StoreError

log = structlog.get_logger(__name__)

FEW_CLIENTS = 5_000
"""Clients that nobody minds waiting for. More of them are left to the reconciler."""


def go_live() -> Delivery:
    """Puts the newest publication in force. A store that is new or was emptied gets the clients
    too, or it could not tell who is registered. Does not raise for an unreachable store."""
    delivery = rules.deliver()
    if not delivery.live:
        return delivery
    try:
        _load_missing_clients()
    except StoreError as error:
        log.warning("clients_not_loaded", error=str(error))
        return not_reachable(error)
    return delivery


def _load_missing_clients() -> None:
    complete = all(mark.complete for mark in ruleset_writer().marks())
    if not complete and Client.objects.count() <= FEW_CLIENTS:
        clients.load_all()
