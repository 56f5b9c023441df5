"""Rules for layers that `lint-imports` cannot express."""

import ast
from collections.abc import Iterator
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parents[2]
DATA_PLANE = ("ratelimit_enforcer", "limits/store", "limits/domain", "api")

MANAGEMENT = BASE_DIR / "api" / "management"
"""The part of the API that changes rows."""


def imported(folder: str) -> Iterator[tuple[str, str]]:
    """(file, module) for every import in a folder."""
    place = BASE_DIR / folder
    for file in place.rglob("*.py") if place.is_dir() else [place]:
        if MANAGEMENT in file.parents:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                yield str(file), node.module
            elif isinstance(node, ast.Import):
                yield from ((str(file), alias.name) for alias in node.names)


def test_the_data_plane_imports_no_database() -> None:
    found = [(file, module) for folder in DATA_PLANE for file, module in imported(folder) if "django.db" in module]
    assert found == [], "A check makes no SQL query; what needs the database belongs to the config plane."


def test_only_the_module_keys_builds_keys() -> None:
    files = [file for folder in ("ratelimit_enforcer", "limits", "api") for file in (BASE_DIR / folder).rglob("*.py")]
    spelled = [
        str(file) for file in files if file.name != "keys.py" and "namespace}:" in file.read_text(encoding="utf-8")
    ]
    assert spelled == []
