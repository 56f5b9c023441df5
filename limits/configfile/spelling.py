"""Values of a config file that YAML 1.1 takes for other than what they look like, or that are no number.

They are refused where they stand, with an explanation: 0100 would be 64, and 1:00 would be 60.
"""

import math
import re
from collections.abc import Callable

MAX_DIGITS = 30
"""Digits of a whole number; every bound of the platform has fewer."""

_WHOLE = re.compile(r"[-+]?[0-9][0-9_]*")
_SPELLINGS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"[-+]?0[bB][0-9_]*"), "a binary number"),
    (re.compile(r"[-+]?0[xX][0-9a-fA-F_]*"), "a hexadecimal number"),
    (re.compile(r"[-+]?0[0-9_]+|[-+]?0[oO][0-9_]*"), "an octal number"),
    (re.compile(r"[-+]?[0-9][0-9_]*(?::[0-9]+)+(?:\.[0-9_]*)?"), "a number to the base of 60"),
    (re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)|-?Infinity|NaN"), "no number that can be counted to"),
)


class Misspelled(str):
    """The text of a value that is refused whatever its place expects. ``reading``: what YAML takes it for."""

    reading: str

    def __new__(cls, text: str, reading: str) -> "Misspelled":
        value = super().__new__(cls, text)
        value.reading = reading
        return value

    @property
    def explanation(self) -> str:
        """Why it is refused."""
        shown = self if len(self) <= MAX_DIGITS else f"{self[:MAX_DIGITS]}…"
        return f"“{shown}” is {self.reading}: write a number in plain decimal digits, or put text in quotes."


def whole_number(text: str) -> int | Misspelled:
    """The whole number that a text without quotes is. Raises ``ValueError`` for what is none."""
    return _plain(text, int) if _WHOLE.fullmatch(text) else _other(text)


def number(text: str) -> float | Misspelled:
    """The number with a fraction or an exponent. Raises ``ValueError`` for what is none."""
    value = _other(text) if any(pattern.fullmatch(text) for pattern, _ in _SPELLINGS) else float(text.replace("_", ""))
    return value if isinstance(value, Misspelled) or math.isfinite(value) else Misspelled(text, "too large a number")


def _plain(text: str, make: Callable[[str], int]) -> int | Misspelled:
    digits = text.lstrip("+-")
    if len(digits) > 1 and digits.startswith("0"):
        return _other(text)
    return make(text.replace("_", "")) if len(digits) <= MAX_DIGITS else Misspelled(text, "too large a number")


def _other(text: str) -> Misspelled:
    for pattern, reading in _SPELLINGS:
        if pattern.fullmatch(text):
            return Misspelled(text, reading)
    raise ValueError(text)
