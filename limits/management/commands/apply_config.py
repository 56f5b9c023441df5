"""``apply_config``: applies a config file, all or nothing, and publishes it."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from limits.configfile.apply import ApplyResult, apply
from limits.configfile.document import Document, read
from limits.configfile.reading import InvalidConfig
from limits.management.output import author, reject, report_delivery


class Command(BaseCommand):
    help = (
        "Applies a YAML or JSON config file, all or nothing, and publishes it. "
        "Exit status 0: live. 1: rejected, nothing changed. 2: saved, but not live yet."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="a path, or - for standard input")
        parser.add_argument("--dry-run", action="store_true", help="print the differences and change nothing")
        parser.add_argument(
            "--prune", action="store_true", help="also remove objects that the sections in the file do not name"
        )
        parser.add_argument("--prune-clients", action="store_true", help="also remove clients (only with --prune)")
        parser.add_argument("--reason", default="", help="the reason, one sentence for the history")

    def handle(self, *, file: str, dry_run: bool, prune: bool, prune_clients: bool, reason: str, **_: Any) -> None:
        if prune_clients and not prune:
            reject(self.stderr, "--prune-clients requires --prune.")
        try:
            document = self._read(file)
            applied = apply(
                document,
                author=author(),
                reason=reason or f"apply_config {file}",
                dry_run=dry_run,
                prune=prune,
                prune_clients=prune_clients,
            )
        except InvalidConfig as error:
            reject(self.stderr, str(error))
        else:
            self._report(applied)

    def _read(self, file: str) -> Document:
        try:
            return read(sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reject(self.stderr, f"{file}: {error}")
            raise

    def _report(self, applied: ApplyResult) -> None:
        for change in applied.changes or ["No changes."]:
            self.stdout.write(change)
        if applied.delivery is not None:
            report_delivery(self, applied.delivery)
