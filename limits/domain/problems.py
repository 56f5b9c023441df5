"""What is wrong with an input, said once and shown wherever the input was made."""

from collections.abc import Iterable
from dataclasses import dataclass

Location = tuple[str | int, ...]
"""Where a problem is: a section, a slug or key, then fields and positions:
``("policies", "free-search", "limits", 0, "quota")``."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where."""

    location: Location
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.location))}: {self.message}"


class RulesetRefused(Exception):
    """The rules as they stand cannot be published."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))
