"""``export_config``: prints the database as a config file."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from limits.configfile.export import export


class Command(BaseCommand):
    help = "Prints plans, endpoints, policies, clients and overrides in the format that apply_config reads."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--secrets",
            action="store_true",
            help="print secrets of notification channels, such as URLs of webhooks, in place of references to them",
        )

    def handle(self, *, secrets: bool, **_: Any) -> None:
        self.stdout.write(export(secrets=secrets), ending="")
