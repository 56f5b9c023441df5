"""Shared output of the commands: the result of a delivery, and the exit status."""

import getpass
import sys

from django.core.management.base import BaseCommand, OutputWrapper

from limits.publishing.rules import Delivery

REJECTED = 1
SAVED_NOT_LIVE = 2
AWAITS_APPROVAL = 3


def author() -> str:
    """Returns the author of a command's changes, for the history."""
    try:
        return f"{getpass.getuser()} (command)"
    except (KeyError, OSError):
        return "command"


def report_delivery(command: BaseCommand, delivery: Delivery) -> None:
    """Prints the result of a delivery; exits with ``SAVED_NOT_LIVE`` if the change is not live."""
    if delivery.live:
        command.stdout.write(f"Version {delivery.version} is live.")
        return
    command.stderr.write(f"Saved, but not live yet. {delivery.problem}")
    sys.exit(SAVED_NOT_LIVE)


def reject(stderr: OutputWrapper, message: str) -> None:
    """Prints the reason why nothing was done, and exits with ``REJECTED``."""
    stderr.write(message)
    sys.exit(REJECTED)
