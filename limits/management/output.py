"""What the commands have in common: how a delivery is told, and which exit status it means."""

import getpass
import sys

from django.core.management.base import BaseCommand, OutputWrapper

from limits.publishing.delivery import Delivery

REFUSED = 1
SAVED_NOT_LIVE = 2


def author() -> str:
    """Who runs a command, for the history."""
    try:
        return f"{getpass.getuser()} (command)"
    except (KeyError, OSError):
        return "command"


def tell(command: BaseCommand, delivery: Delivery) -> None:
    """Says what became of a change; ends the process with ``SAVED_NOT_LIVE`` where it is not live."""
    if delivery.live:
        command.stdout.write(f"Version {delivery.version} is live.")
        return
    command.stderr.write(f"Saved, but not live yet. {delivery.problem}")
    sys.exit(SAVED_NOT_LIVE)


def refuse(stderr: OutputWrapper, message: str) -> None:
    """Says why nothing was done, and ends the process with ``REFUSED``."""
    stderr.write(message)
    sys.exit(REFUSED)
