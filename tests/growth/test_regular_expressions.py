"""Twice the text causes at most 2.5 times the steps, for each regular expression in the project."""

import importlib
import pkgutil
import re
import sys
from collections.abc import Iterator
from math import inf
from pathlib import Path
from types import ModuleType

import pytest

import api
import limits
import ratelimit_enforcer
import ratelimit_platform
from tests.support.regex_steps import Attacks, OverBudget, Steps

MOST = 2.5
TIMES = 16
SEARCHING = r"(sub|search|finditer|findall|split)\("
NOT_IMPORTED = ("limits.migrations", "ratelimit_platform.running.__main__", "ratelimit_platform.wsgi")


def modules() -> Iterator[ModuleType]:
    for package in (api, limits, ratelimit_enforcer, ratelimit_platform):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.startswith(NOT_IMPORTED):
                yield importlib.import_module(found.name)


def patterns() -> dict[str, tuple[re.Pattern[str], bool]]:
    """Text of each pattern in a module → the pattern, and whether the module uses it for searches."""
    found: dict[str, tuple[re.Pattern[str], bool]] = {}
    for module in modules():
        source = Path(module.__file__ or "").read_text(encoding="utf-8")
        for name, value in list(vars(module).items()):
            for pattern in _patterns_in(value):
                user = rf"\b{name}" if pattern is value else ""
                searched = bool(re.search(rf"{user}\.{SEARCHING}", source))
                found[pattern.pattern] = pattern, searched or found.get(pattern.pattern, (pattern, False))[1]
    return found


def _patterns_in(value: object) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern):
        yield value
    for inner in value if isinstance(value, (list, tuple)) else ():
        yield from _patterns_in(inner)


FOUND = patterns()


@pytest.fixture(autouse=True)
def deep() -> Iterator[None]:
    """Raises the recursion limit, because the counting matcher recurses for each part of a text."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    yield
    sys.setrecursionlimit(before)


def growth(pattern: re.Pattern[str], *, searching: bool) -> tuple[float, str]:
    """The worst ratio of steps when a text doubles, and the beginning of that text. Fast growth up to the
    bound of a quantifier does not count."""
    steps, attacks = Steps(pattern), Attacks(pattern)
    count = steps.searches if searching else steps.fullmatch
    worst = 0.0, ""
    for texts in zip(*(attacks.texts(times * TIMES) for times in (1, 2, 8, 16)), strict=True):
        try:
            ratio = count(texts[1]) / count(texts[0])
            ratio = ratio if ratio <= MOST else min(ratio, count(texts[3]) / count(texts[2]))
        except OverBudget:
            return inf, texts[0][:16]
        worst = max(worst, (ratio, texts[0][:16]))
        if ratio > MOST:
            break
    return worst


@pytest.mark.parametrize("text", FOUND, ids=lambda text: text[:40])
def test_a_regular_expression_takes_linear_time(text: str) -> None:
    pattern, searching = FOUND[text]
    worst, attack = growth(pattern, searching=searching)
    assert worst <= MOST, f"{worst:.1f} times the steps for twice of {attack!r}"


def test_the_patterns_were_found() -> None:
    assert len(FOUND) >= 15
    assert any("@" in text for text in FOUND)


@pytest.mark.parametrize(
    ("text", "searching"),
    [
        (r"\b([\w.+-])[\w.+-]*@([\w-]+(?:\.[\w-]+)+)", True),
        (r"\s*([0-9]+)\s*/\s*([0-9]*)\s*([a-z]+)\s*", False),
        (r"a*b", True),
    ],
)
def test_a_slow_pattern_is_detected(text: str, searching: bool) -> None:
    assert growth(re.compile(text), searching=searching)[0] > MOST


def test_a_pattern_with_exponential_time_is_stopped() -> None:
    assert growth(re.compile(r"(?:a|aa)+b"), searching=False)[0] == inf


@pytest.mark.parametrize("text", [r"a+b", r"(?<![a-c])x*@", r"(?i)\bab +c", r"\A[^\x00-\x1f]*\Z", r"(?:/[a-z]+)+"])
@pytest.mark.parametrize("given", ["aab", "xx@", "AB  c", "/a/b", "", "q", "ab  ", "b@x"])
def test_the_counting_matcher_agrees_with_re(text: str, given: str) -> None:
    pattern = re.compile(text)
    steps = Steps(pattern)
    steps.fullmatch(given)
    assert steps.end == (None if pattern.fullmatch(given) is None else len(given))
