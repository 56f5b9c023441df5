"""What a report is about: its period, its rows, its filters and its figures."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo


class By(StrEnum):
    """What the rows of a report are about."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    CLIENT = "client"
    TREE = "tree"
    PLAN = "plan"
    TAG = "tag"
    ENDPOINT = "endpoint"
    POLICY = "policy"


TIMES = (By.HOUR, By.DAY, By.MONTH)
FILTERS = (By.CLIENT, By.TREE, By.PLAN, By.TAG, By.ENDPOINT, By.POLICY)
_RECORDED = frozenset({By.CLIENT, By.TREE, By.PLAN, By.TAG})


@dataclass(frozen=True, slots=True)
class Figure:
    """A column of numbers; ``meaning`` ends without a full stop."""

    name: str
    meaning: str


_BEYOND_QUOTAS = (
    Figure("granted", "units beyond quotas that grants covered, less those that were returned"),
    Figure("over_quota", "units beyond quotas and grants, which a policy admitted with over_quota: count"),
)
USAGE_FIGURES = (
    Figure("requests", "all requests"),
    Figure("admitted", "admitted requests"),
    Figure("denied", "requests denied by a limit"),
    Figure("blocked", "requests of blocked clients"),
    Figure("exempt", "requests of exempt clients"),
    Figure("cost", "the cost of the admitted requests, for a reservation the reserved cost"),
    Figure("refunded", "reserved cost that settlements returned"),
    Figure("debited", "cost of settlements beyond the reserved cost, and of charges"),
    Figure("overdrawn", "debited cost beyond the quota"),
    *_BEYOND_QUOTAS,
)
POLICY_FIGURES = (
    Figure("denied", "requests denied by the policy"),
    Figure("would_deny", "requests that the policy would have denied, in shadow mode"),
    *_BEYOND_QUOTAS,
)


@dataclass(frozen=True, slots=True)
class Report:
    """A report from ``begin`` until ``end``, the end excluded; both are whole hours, UTC. ``by``: what a row is about,
    in the order of the columns; empty: one row with the sums. ``filters``: only what has this value."""

    begin: datetime
    end: datetime
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    by: tuple[By, ...] = ()
    filters: tuple[tuple[By, str], ...] = ()

    @property
    def subjects(self) -> frozenset[By]:
        """What the rows or the filters are about."""
        return frozenset(self.by) | {each for each, _ in self.filters}

    @property
    def is_of_policies(self) -> bool:
        """Whether the figures are those of policies."""
        return By.POLICY in self.subjects

    @property
    def needs_records(self) -> bool:
        """Whether plan, tags, tree or registration of clients at the time matter."""
        return bool(self.subjects & _RECORDED)

    @property
    def time(self) -> By | None:
        """The period of a row, if rows are by period."""
        return next((each for each in self.by if each in TIMES), None)

    @property
    def figures(self) -> tuple[Figure, ...]:
        """The columns of numbers."""
        return POLICY_FIGURES if self.is_of_policies else USAGE_FIGURES

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns of a row."""
        return (*(by.value for by in self.by), *(figure.name for figure in self.figures))


@dataclass(frozen=True, slots=True)
class Row:
    """A row: what it is about (None: unregistered clients, no plan, no tag, unknown endpoints), and its figures, both
    in the order of the report. ``is_adjustment``: counts that arrived after the close of their month."""

    about: tuple[str | None, ...]
    figures: tuple[int, ...]
    is_adjustment: bool = False
