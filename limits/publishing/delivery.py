"""Bringing what the database holds to the store: the writers, and what became of it."""

from dataclasses import dataclass

from limits.conf import setting
from limits.store.clients import ClientWriter
from limits.store.connection import patient_client
from limits.store.errors import StoreError
from limits.store.keys import Keys
from limits.store.rules import RulesetWriter


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a change. ``version`` is the sequence that is live (None: unknown or none);
    ``problem`` is a sentence for a person where the change is not live yet, else empty."""

    live: bool
    version: int | None = None
    problem: str = ""


def not_reachable(error: StoreError) -> Delivery:
    """The change is safe in the database and goes live later."""
    return Delivery(False, problem="Redis cannot be reached; the change goes live by itself when it can.")


def ruleset_writer() -> RulesetWriter:
    return RulesetWriter(patient_client(), Keys(setting("NAMESPACE")))


def client_writer() -> ClientWriter:
    return ClientWriter(patient_client(), Keys(setting("NAMESPACE")))
