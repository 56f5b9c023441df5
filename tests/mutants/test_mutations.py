"""Each mutation has exactly one target, whatever the names of variables. `make mutants` takes an hour."""

import ast
import re
from collections.abc import Sequence
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from tests.mutants import __main__ as run
from tests.mutants import lua_target, python_target
from tests.mutants.mutations import MUTATIONS, Lua, Mutation, Python
from tests.mutants.targets import NotOnce

BASE_DIR = Path(__file__).resolve().parents[2]


def source_of(mutation: Mutation) -> str:
    return (BASE_DIR / mutation.file).read_text(encoding="utf-8")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.place}: {mutation.new}")
def test_each_mutation_has_one_target_and_changes_it(mutation: Mutation) -> None:
    source = source_of(mutation)
    mutated = mutation.applied(source)
    assert mutated != source
    # With a nonexistent variable every test would fail, so the mutation would prove nothing.
    assert variables(mutated) <= variables(source)
    if isinstance(mutation, Python):
        assert ast.dump(ast.parse(mutated)) != ast.dump(ast.parse(source))


@pytest.mark.parametrize("path", run.FAST_TESTS)
def test_the_test_files_that_are_run_exist(path: str) -> None:
    assert (BASE_DIR / path).exists()


def variables(source: str) -> set[str]:
    outside_of_texts = re.sub(r"'[^'\n]*'", "", source)
    return {"and", "or", "not", *re.findall(r"(?<![\w.:])[a-z_]\w*", outside_of_texts)}


LUA = "local function room(used)\n  if used + cost <= quota then return 'cost' end -- cost\nend\n"
PYTHON = """
class Window:
    def admits(self, cost):
        return (
            self.used + cost <= self.limit.quota  # ä
        )

def admits(cost):
    return 1 + cost <= 2
"""


@pytest.mark.parametrize("names", [(), (("used", "spent"), ("cost", "weight"), ("quota", "used"))])
def test_tokens_of_lua_are_found_under_any_names(names: Sequence[tuple[str, str]]) -> None:
    source, expected = LUA, LUA.replace("<=", "<")
    for old, new in names:
        source, expected = source.replace(old, new), expected.replace(old, new)
    assert lua_target.mutated(source, "if used + cost <= quota then", "if used + cost < quota then") == expected


@pytest.mark.parametrize("names", [(), (("cost", "weight"), ("used", "spent"), ("quota", "size"))])
def test_an_expression_of_python_is_found_under_any_names(names: Sequence[tuple[str, str]]) -> None:
    source, expected = PYTHON, PYTHON.replace("<= self", "< self")
    for old, new in names:
        source, expected = source.replace(old, new), expected.replace(old, new)
    old, new = "window.used + cost <= window.limit.quota", "window.used + cost < window.limit.quota"
    mutated = python_target.mutated(source, "Window.admits", old, new)
    assert ast.dump(ast.parse(mutated)) == ast.dump(ast.parse(expected))
    assert "# ä" in mutated


@pytest.mark.parametrize(
    ("old", "times"),
    [("used - cost <= quota", 0), ("used + used <= quota", 0), ("used < QUOTA", 0), ("used", 5)],
)
def test_a_target_that_is_missing_or_ambiguous_in_lua(old: str, times: int) -> None:
    with pytest.raises(NotOnce, match=f"found {times} times"):
        lua_target.mutated(LUA, old, "0")


@pytest.mark.parametrize(
    ("function", "old", "times"),
    [
        ("Window.admits", "a.b - c <= a.d.e", 0),
        ("Window.admits", "a.b + c <= x.d.e", 0),
        ("Window.removed", "a.b + c <= a.d.e", 0),
        ("Window.admits", "a.b", 2),
        ("admits", "max(a)", 0),
    ],
)
def test_a_target_that_is_missing_or_ambiguous_in_python(function: str, old: str, times: int) -> None:
    with pytest.raises(NotOnce, match=f"found {times} times"):
        python_target.mutated(PYTHON, function, old, "0")


def test_a_mutation_without_a_target_is_listed_and_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here, missing = Lua("here", "if used <= quota", "if used < quota"), Lua("here", "if 7 == used", "if 8 == used")
    (tmp_path / here.file).parent.mkdir(parents=True)
    (tmp_path / here.file).write_text("if used <= quota then return end")
    tested: list[Any] = []
    monkeypatch.setattr(run, "_tests_fail", lambda _, mutation: tested.append(mutation) or True)
    copies: Queue[run.Copy] = Queue()
    copies.put(run.Copy(tmp_path, ""))
    problems = [run._try(mutation, copies) for mutation in (missing, here)]
    assert problems == ["  NOT TRIED (found 0 times, not once): here.lua: if 7 == used  →  if 8 == used", ""]
    assert (tested, copies.qsize()) == ([here], 1)
