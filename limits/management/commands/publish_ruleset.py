"""``publish_ruleset``: the repair command."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from limits.domain.problems import RulesetRefused
from limits.management.output import SAVED_NOT_LIVE, author, refuse, tell
from limits.publishing import clients, rules
from limits.publishing.delivery import Delivery, not_reachable
from limits.store.errors import StoreError


class Command(BaseCommand):
    help = (
        "Compiles the rules from the database and publishes them, then writes every client record anew. "
        "Exit status 0: live. 1: refused. 2: Redis cannot be reached."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--take-over",
            action="store_true",
            help="publish although Redis holds the rules of another database, or newer ones than this database knows",
        )
        parser.add_argument("--reason", default="publish_ruleset", help="one sentence of why, for the history")

    def handle(self, *, take_over: bool, reason: str, **_: Any) -> None:
        try:
            delivery = rules.take_over(author(), reason) if take_over else self._publish(reason)
        except RulesetRefused as error:
            refuse(self.stderr, "\n".join(map(str, error.problems)))
        except StoreError as error:
            self.stderr.write(f"Nothing was changed. Redis cannot be reached: {error}")
            sys.exit(SAVED_NOT_LIVE)
        else:
            tell(self, self._with_clients(delivery))

    def _publish(self, reason: str) -> Delivery:
        rules.record(author(), reason=reason)
        return rules.deliver()

    def _with_clients(self, delivery: Delivery) -> Delivery:
        """Rules without their clients would take registered clients for unknown ones."""
        if not delivery.live:
            return delivery
        try:
            clients.deliver()
            if clients.load_all():
                return delivery
        except StoreError as error:
            return not_reachable(error)
        return Delivery(False, problem="Redis was emptied meanwhile; it is filled again by itself.")
