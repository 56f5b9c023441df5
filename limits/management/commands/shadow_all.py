"""``shadow_all``: the emergency switch."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from limits.management.output import author, tell
from limits.models import Platform
from limits.publishing import rules


class Command(BaseCommand):
    help = "on: every policy reports and none denies, at once. off: policies enforce again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("state", choices=["on", "off"])
        parser.add_argument("--reason", default="", help="one sentence of why, for the history")

    def handle(self, *, state: str, reason: str, **_: Any) -> None:
        with transaction.atomic():
            platform = Platform.load()
            platform.shadow_all = state == "on"
            platform.save(update_fields=["shadow_all"])
            rules.record(author(), reason=reason or f"shadow_all {state}")
        tell(self, rules.deliver())
