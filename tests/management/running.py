"""Running a management command, with its status and output."""

from dataclasses import dataclass
from io import StringIO

from django.core.management import call_command

AWAY = "Redis is unavailable; the change will go live automatically."


@dataclass(frozen=True, slots=True)
class Outcome:
    """Exit status and output of a command."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def run(command: str, *arguments: str) -> Outcome:
    """Runs a command with the arguments of a command line."""
    out, err, status = StringIO(), StringIO(), 0
    try:
        call_command(command, *arguments, stdout=out, stderr=err)
    except SystemExit as ended:
        status = int(ended.code or 0)
    return Outcome(status, out.getvalue(), err.getvalue())
