"""``apply_config``: applies a config file, all or nothing, and publishes it."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand

from limits.changes.documents import record_document, start_with_document
from limits.changes.drafts import Recording, propose
from limits.changes.due import apply_pending
from limits.changes.lifecycle import Actor, differences_of
from limits.configfile.apply import ApplyResult, apply
from limits.configfile.document import Document, read
from limits.configfile.reading import InvalidConfig
from limits.management.output import AWAITS_APPROVAL, author, reject, report_delivery
from limits.models import ChangeSet


class Command(BaseCommand):
    help = (
        "Applies a YAML or JSON config file, all or nothing, and publishes it. "
        "Exit status 0: live, or a draft was created. 1: rejected, nothing changed. 2: saved, but not live yet. "
        "3: the changes of rules await approval, nothing else was changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="a path, or - for standard input")
        parser.add_argument("--dry-run", action="store_true", help="print the differences and change nothing")
        parser.add_argument(
            "--prune", action="store_true", help="also remove objects that the sections in the file do not name"
        )
        parser.add_argument("--prune-clients", action="store_true", help="also remove clients (only with --prune)")
        parser.add_argument("--draft", metavar="NAME", default="", help="create a change set instead of publishing")
        parser.add_argument("--reason", default="", help="the reason, one sentence for the history")

    def handle(self, *, file: str, draft: str, dry_run: bool, reason: str, **options: Any) -> None:
        removal = {name: options[name] for name in ("prune", "prune_clients")}
        if removal["prune_clients"] and not removal["prune"]:
            reject(self.stderr, "--prune-clients requires --prune.")
        if draft and (dry_run or removal["prune_clients"]):
            reject(self.stderr, "--draft cannot be combined with --dry-run or --prune-clients.")
        actor, reason = Actor(author()), reason or f"apply_config {file}"
        try:
            document = self._read(file)
            apply_pending()
            if draft:
                self._show_draft(start_with_document(draft, actor, document, reason, prune=removal["prune"]))
                return
            if actor.needs_approval and not dry_run:
                self._propose(record_document(document, **removal), actor, reason)
            self._report(apply(document, author=actor.name, reason=reason, dry_run=dry_run, **removal))
        except InvalidConfig as error:
            reject(self.stderr, str(error))
        except ValidationError as error:
            reject(self.stderr, "\n".join(error.messages))

    def _show_draft(self, change: ChangeSet) -> None:
        for difference in list(map(str, differences_of(change))) or ["No changes."]:
            self.stdout.write(difference)
        self.stdout.write(f"Draft “{change}” was created as change set {change.pk}. Nothing of it is live.")

    def _propose(self, recording: Recording, actor: Actor, reason: str) -> None:
        """Ends the command if the file changes rules."""
        if not recording.edits:
            return
        change = propose(recording, actor, reason)
        self.stderr.write(f"Nothing was changed. Change set {change.pk}, “{change}”, awaits approval.")
        self.stderr.write("Apply the file again after its publication, if it has other sections than rules.")
        sys.exit(AWAITS_APPROVAL)

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
