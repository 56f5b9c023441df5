"""``publish_ruleset``: publishes again, to repair the store."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from limits.changes.due import apply_pending
from limits.management.output import SAVED_NOT_LIVE, author, reject, report_delivery
from limits.publishing import clients, rules
from limits.publishing.rules import Delivery, postponed_delivery
from ratelimit_enforcer.domain.validation import InvalidRuleset
from ratelimit_enforcer.store.errors import StoreError


class Command(BaseCommand):
    help = (
        "Compiles the rules from the database and publishes them, then writes all client records again. "
        "Exit status 0: live. 1: rejected. 2: Redis is unavailable."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--take-over",
            action="store_true",
            help="publish even if Redis has the rules of another database, or newer rules than this database",
        )
        parser.add_argument("--reason", default="publish_ruleset", help="the reason, one sentence for the history")

    def handle(self, *, take_over: bool, reason: str, **_: Any) -> None:
        try:
            apply_pending()
            delivery = rules.take_over(author(), reason) if take_over else self._publish(reason)
        except InvalidRuleset as error:
            reject(self.stderr, "\n".join(map(str, error.problems)))
        except StoreError as error:
            self.stderr.write(f"Nothing was changed. Redis is unavailable: {error}")
            sys.exit(SAVED_NOT_LIVE)
        else:
            report_delivery(self, self._with_clients(delivery))

    def _publish(self, reason: str) -> Delivery:
        rules.record(author(), reason=reason)
        return rules.deliver()

    def _with_clients(self, delivery: Delivery) -> Delivery:
        """Rules without their clients would make registered clients appear unregistered."""
        if not delivery.live:
            return delivery
        try:
            clients.deliver()
            if clients.load_all():
                return delivery
        except StoreError:
            return postponed_delivery()
        return Delivery(False, problem="Redis was emptied during the publication and is being restored automatically.")
