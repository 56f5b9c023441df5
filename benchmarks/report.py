"""The results of the parts: tables and targets, as Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.measuring import Spread

Cell = str | int | float | Spread


@dataclass(frozen=True)
class Table:
    """A table. Numbers are written with their significant digits."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True)
class Target:
    """A target for a figure: at most ``bound``, or at least ``bound``."""

    name: str
    found: Spread
    bound: float
    at_most: bool = True

    @property
    def reached(self) -> bool:
        """Whether the median reaches the target."""
        return self.found.median <= self.bound if self.at_most else self.found.median >= self.bound


@dataclass(frozen=True)
class Headline:
    """One line for the README: a figure of ours, and the one it is compared with."""

    what: str
    ours: Spread
    peer: str
    theirs: Spread
    unit: str
    ratio: Spread
    """The ratio of ours to theirs, taken within each round."""

    @property
    def cells(self) -> Sequence[str]:
        """The cells of a row of :data:`HEADLINES`."""
        figures = (f"{_number(figure.median)} {self.unit}" for figure in (self.ours, self.theirs))
        ours, theirs = figures
        return self.what, ours, self.peer, theirs, f"× {_number(self.ratio.median)}"


HEADLINES = ("", "ours", "compared with", "theirs", "ours / theirs")


@dataclass(frozen=True)
class Part:
    """The results of one part."""

    name: str
    tables: Sequence[Table]
    targets: Sequence[Target] = field(default=())
    headlines: Sequence[Headline] = field(default=())


def headlines(parts: Iterable[Part]) -> str:
    """The table in the README."""
    return _lines(HEADLINES, [line.cells for part in parts for line in part.headlines])


def written(cell: Cell) -> str:
    """``1.25 (1.21 to 1.40)``, ``12,345``, or the text itself."""
    if isinstance(cell, Spread):
        return f"{_number(cell.median)} ({_number(cell.least)} to {_number(cell.most)})"
    return cell if isinstance(cell, str) else _number(cell)


def _number(value: float) -> str:
    if isinstance(value, int) or abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def markdown(parts: Iterable[Part]) -> str:
    """The targets of all parts first, then each part's tables."""
    parts = list(parts)
    blocks = [_targets([target for part in parts for target in part.targets])]
    for part in parts:
        blocks += [f"## {part.name}", *map(_table, part.tables)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _targets(targets: Sequence[Target]) -> str:
    if not targets:
        return ""
    rows = [
        (target.name, target.found, f"{'≤' if target.at_most else '≥'} {target.bound:g}", _verdict(target))
        for target in targets
    ]
    return "## Targets\n\n" + _lines(("what", "found", "target", ""), rows)


def _verdict(target: Target) -> str:
    return "reached" if target.reached else "**not reached**"


def _table(table: Table) -> str:
    blocks = [f"### {table.title}", table.note, _lines(table.columns, table.rows)]
    return "\n\n".join(block for block in blocks if block)


def _lines(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    lines = [columns, ["---"] * len(columns), *([written(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
