"""A stretch of time, read from as few rows as possible: whole hours from the hours' table, and its
beginning and end from the minutes'."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.transaction import TransactionManagementError

from limits.models import Work
from limits.monitoring.sql import execute

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Span:
    """From ``begin`` to ``end``, the end excluded. The hours from ``first`` to ``last`` hold everything
    from ``first`` to ``known``; what is before and after is read from the minutes."""

    begin: datetime
    end: datetime
    first: datetime
    last: datetime
    known: datetime

    @classmethod
    def between(cls, begin: datetime, end: datetime) -> "Span":
        """Both are whole minutes. The rows have to be read in the same transaction: until it ends, no
        roll-up moves rows to their hour, which would then be counted twice or not at all."""
        first = hour_of(begin + HOUR - timedelta(microseconds=1))
        mark = _held_mark() or begin
        # The hour that is being added up holds its minutes up to the mark.
        last, known = (hour_of(mark) + HOUR, mark) if mark <= end else (hour_of(end), hour_of(end))
        if known <= first:
            return cls(begin, end, begin, begin, begin)
        return cls(begin, end, first, last, known)

    @classmethod
    def hours(cls, now: datetime, count: int) -> "Span":
        """So many hours by the clock, the present one included as far as it has come, and a little
        further: the store's clock may be ahead."""
        end = hour_of(now) + HOUR
        return cls.between(end - count * HOUR, end)

    def usage(self, condition: str = "") -> str:
        """A table expression over usage: its columns are ``moment``, ``client_key``, ``endpoint``,
        ``outcome``, ``requests``. A condition begins with ``AND``."""
        return self._rows("limits_usage", "client_key, endpoint, outcome, requests", condition)

    def denials(self, condition: str = "") -> str:
        """The same over denials by policy, with ``policy`` and ``mode`` in place of ``outcome``."""
        return self._rows("limits_policydenial", "client_key, endpoint, policy, mode, requests", condition)

    def _rows(self, table: str, columns: str, condition: str) -> str:
        return (
            f"(SELECT hour AS moment, {columns} FROM {table}hour WHERE hour >= %s AND hour < %s {condition}"
            f" UNION ALL SELECT minute, {columns} FROM {table} WHERE minute >= %s AND minute < %s {condition}"
            f" UNION ALL SELECT minute, {columns} FROM {table} WHERE minute >= %s AND minute < %s {condition}) AS rows"
        )

    def parameters(self, *of_condition: object) -> list[object]:
        """What the expression takes; those of the condition are given once."""
        pieces = ((self.first, self.last), (self.begin, self.first), (self.known, self.end))
        return [each for piece in pieces for each in (*piece, *of_condition)]


def _held_mark() -> datetime | None:
    """Up to where minutes are in their hours. A roll-up waits for this lock."""
    if not connection.in_atomic_block:
        raise TransactionManagementError("The mark and the rows are read in one transaction.")
    rows = execute("SELECT at FROM limits_progress WHERE work = %s FOR SHARE", [Work.HOURS.value])
    return rows[0][0] if rows else None


def hour_of(moment: datetime) -> datetime:
    """The beginning of its hour."""
    return moment.replace(minute=0, second=0, microsecond=0)
