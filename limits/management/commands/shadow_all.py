"""``shadow_all``: the emergency switch."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from limits.management.output import author, reject, report_delivery
from limits.models import Platform
from limits.publishing import rules
from limits.publishing.reconciler import go_live
from ratelimit_enforcer.domain.validation import InvalidRuleset


class Command(BaseCommand):
    help = "on: every policy reports and none denies, effective immediately. off: policies enforce again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("state", choices=["on", "off"])
        parser.add_argument("--reason", default="", help="the reason, one sentence for the history")

    def handle(self, *, state: str, reason: str, **_: Any) -> None:
        try:
            self._switch(on=state == "on", reason=reason or f"shadow_all {state}")
        except InvalidRuleset as error:
            reject(self.stderr, "\n".join(map(str, error.problems)))
        report_delivery(self, go_live())

    @transaction.atomic
    def _switch(self, *, on: bool, reason: str) -> None:
        platform = Platform.load()
        platform.shadow_all = on
        platform.save(update_fields=["shadow_all"])
        rules.record(author(), reason=reason)
