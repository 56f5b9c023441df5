"""Twice the file causes at most 2.5 times the work in steps: valid and invalid config files, and clients as CSV."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import yaml

from api.problems import ProblemResponse
from limits.configfile import apply, client_files, document, items, override_entries, overrides, rows, schema
from limits.configfile.document import Document, read
from limits.configfile.override_entries import OverrideEntry
from limits.configfile.reading import InvalidConfig
from limits.domain.client_csv import InvalidClientFile, Line, format_lines, parse_lines
from limits.models import Client, ClientImport
from ratelimit_enforcer.domain import validation
from ratelimit_enforcer.domain.rules import Plan
from ratelimit_enforcer.domain.validation import ValidationProblem
from tests.support.work import MOST, Call, Case, Word, counted_enumerate, counted_range, growth, words

_POSITIONS = (apply, client_files, document, items, override_entries, overrides, rows, schema, validation)
"""Modules in which positions in lists are compared in Python code, so that the comparisons are counted."""


@pytest.fixture(autouse=True)
def counted_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in _POSITIONS:
        monkeypatch.setattr(module, "range", counted_range, raising=False)
        monkeypatch.setattr(module, "enumerate", counted_enumerate, raising=False)


def refused(call: Call) -> Call:
    """The same call, which must be rejected."""

    def tried() -> None:
        with pytest.raises((ProblemResponse, InvalidConfig, InvalidClientFile)):
            call()

    return tried


def file_of(section: str, item: Callable[[int], dict[str, Any]], *, as_yaml: bool = False) -> Case:
    """A file with ``size`` items, valid or invalid."""

    def case(size: int) -> Call:
        data = {section: [item(at) for at in range(size)]}
        text = yaml.safe_dump(data) if as_yaml else json.dumps(data)

        def call() -> None:
            with suppress(InvalidConfig):
                read(text)

        return call

    return case


def file_with(item: Callable[[int], dict[str, Any]], section: str) -> Case:
    """A file with one item of this size."""

    def case(size: int) -> Call:
        text = json.dumps({section: [item(size)]})

        def call() -> None:
            with suppress(InvalidConfig):
                read(text)

        return call

    return case


LIMIT = {"quota": 1, "window": 60}


def policy(at: int) -> dict[str, Any]:
    return {"slug": f"p{at}", "plan": f"plan{at}", "limits": [LIMIT]}


def override(at: int) -> dict[str, Any]:
    year = f"{1_000 + at:04}"
    times = {"starts_at": f"{year}-01-01T00:00:00Z", "ends_at": f"{year}-02-01T00:00:00Z"}
    return {"client": "a", "policy": "p", "limits": [LIMIT], **times}


def alert_rule(at: int) -> dict[str, Any]:
    return {"name": f"r{at}", "metric": "throttled", "threshold": 1, "emails": ["a@example.com"]}


def limits_of(size: int) -> list[dict[str, Any]]:
    return [{"quota": 1, "window": 60 + at} for at in range(size)]


ITEMS: dict[str, tuple[str, Callable[[int], dict[str, Any]]]] = {
    "plans": ("plans", lambda at: {"slug": f"p{at}", "name": f"P {at}"}),
    "endpoints": ("endpoints", lambda at: {"slug": f"e{at}", "routes": [f"GET /e/{at}", f"POST /e/{at}/{{id}}"]}),
    "policies": ("policies", policy),
    "clients": ("clients", lambda at: {"key": f"c{at}", "plan": "free"}),
    "overrides": ("overrides", override),
    "alert rules": ("alert_rules", alert_rule),
    "default plans": ("plans", lambda at: {"slug": f"p{at}", "default": True}),
    "one slug": ("plans", lambda at: {"slug": "p"}),
    "one key": ("clients", lambda at: {"key": "c"}),
    "one name": ("alert_rules", lambda at: alert_rule(0)),
    "wrong slugs": ("plans", lambda at: {"slug": f"P {at}"}),
    "wrong types": ("plans", lambda at: {"slug": at, "name": [], "default": "x"}),
    "wrong words": ("policies", lambda at: policy(at) | {"mode": "x", "partition": "y"}),
    "missing fields": ("overrides", lambda at: {}),
    "unknown fields": ("plans", lambda at: {"slug": "p", f"x{at}": 1}),
    "no items": ("plans", lambda at: [at]),  # type: ignore[dict-item,return-value]
    "misspelled numbers": ("policies", lambda at: policy(at) | {"limits": [{"quota": float("inf"), "window": 60}]}),
    "wrong routes": ("endpoints", lambda at: {"slug": f"e{at}", "routes": ["x", "GET /*/x", "GET /{x", "GET  "]}),
    "wrong costs": ("endpoints", lambda at: {"slug": f"e{at}", "cost": -1}),
    "wrong limits": ("policies", lambda at: policy(at) | {"limits": [{"quota": -1}, {"quota": 1, "burst": -1}]}),
    "no limits": ("policies", lambda at: policy(at) | {"limits": []}),
    "wrong times": ("overrides", lambda at: override(at) | {"starts_at": "x", "ends_at": "2026"}),
    "overlaps": ("overrides", lambda at: override(at) | {"starts_at": None}),
    "equal overrides": ("overrides", lambda at: override(0)),
    "wrong keys": ("overrides", lambda at: override(at) | {"client": "\x01"}),
    "wrong addresses": ("alert_rules", lambda at: alert_rule(at) | {"emails": ["x", "@", "a@b"], "webhooks": ["x"]}),
}

LARGE: dict[str, tuple[str, Callable[[int], dict[str, Any]]]] = {
    "unknown fields of one": ("plans", lambda size: {"slug": "p"} | {f"x{at}": 1 for at in range(size)}),
    "limits of one": ("policies", lambda size: {"slug": "p", "limits": limits_of(size)}),
    "equal limits of one": ("policies", lambda size: {"slug": "p", "limits": [LIMIT] * size}),
    "limits of one override": ("overrides", lambda size: override(0) | {"limits": limits_of(size)}),
    "routes of one": ("endpoints", lambda size: {"slug": "e", "routes": [f"GET /{at}" for at in range(size)]}),
    "equal routes of one": ("endpoints", lambda size: {"slug": "e", "routes": ["GET /"] * size}),
    "addresses of one": ("alert_rules", lambda size: alert_rule(0) | {"emails": [f"a{at}@b.de" for at in range(size)]}),
    "webhooks of one": (
        "alert_rules",
        lambda size: alert_rule(0) | {"webhooks": [f"https://h{at}.de" for at in range(size)]},
    ),
    "a long name": ("plans", lambda size: {"slug": "p", "name": "x" * size}),
    "a long slug": ("plans", lambda size: {"slug": "x" * size}),
    "a long key": ("clients", lambda size: {"key": "\x01" * size}),
    "a long route": ("endpoints", lambda size: {"slug": "e", "routes": ["GET " + "/a" * size]}),
    "a long address": ("alert_rules", lambda size: alert_rule(0) | {"emails": ["a." * size + "@b"]}),
    "a long webhook": ("alert_rules", lambda size: alert_rule(0) | {"webhooks": ["https://" + "a." * size]}),
}


def aliases(size: int) -> Call:
    shared = ", ".join(["*limits"] * size)
    text = f"policies:\n- slug: p\n  limits: &limits [{{quota: 1, window: 60}}]\nx: [{shared}]\n"
    return refused(lambda: read(text))


def merges(size: int) -> Call:
    items = "".join(f"- {{<<: *one, slug: p{at}}}\n" for at in range(size))
    text = f"plans:\n- &one {{slug: p, name: N}}\n{items}"
    return lambda: read(text)


def equal_keys(text: str) -> Case:
    """A mapping with ``size`` keys, of which the last is a duplicate."""

    def case(size: int) -> Call:
        fields = ", ".join(f'"k{at}": 1' for at in [*range(size), size - 1])
        return refused(lambda: read(text.format(fields)))

    return case


def unknown_names(size: int) -> Call:
    names, known = words("a", size), words("b", size)
    return lambda: list(apply._unknown_names("policies", "plan", names, known))


def entries(size: int) -> list[OverrideEntry]:
    found = [override_entries.override_entry(override(at)) for at in range(size)]
    return [entry for entry in found if isinstance(entry, OverrideEntry)]


def refused_overlaps(size: int) -> Call:
    found = dict(enumerate(entries(size) * 2))
    return refused(lambda: overrides._reject_overlaps(found, {}))


def order_of_overrides(size: int) -> Call:
    found = entries(size)
    return lambda: [overrides._order(entry, None) for entry in sorted(found, key=overrides._identity)]


def places_in_the_file(size: int) -> Call:
    names = words("p", size)
    written_as = Document(plans=[Plan(name, name) for name in names])
    problems = [ValidationProblem(("plans", Word(name), "slug"), "is wrong.") for name in names]
    return lambda: list(apply.with_positions_in_file(problems, written_as))


def refusal_of_all(size: int) -> Call:
    problems = [ValidationProblem(("plans", at, "slug"), "is wrong.") for at in range(size)]
    return lambda: InvalidConfig(problems)


FILES: dict[str, tuple[Case, int]] = {
    **{name: (file_of(*item), 100) for name, item in ITEMS.items()},
    **{f"{name} as YAML": (file_of(*ITEMS[name], as_yaml=True), 40) for name in ("plans", "policies", "clients")},
    **{name: (file_with(item, section), 300) for name, (section, item) in LARGE.items()},
    "aliases": (aliases, 50),
    "merges": (merges, 50),
    "a key that is there twice": (equal_keys("plans:\n- {{{}}}"), 50),
    "a key of JSON that is there twice": (equal_keys('{{"plans": [{{{}}}]}}'), 50),
    "names of nothing": (unknown_names, 400),
    "overrides that overlap": (refused_overlaps, 200),
    "the order of overrides": (order_of_overrides, 200),
    "problems with their places": (places_in_the_file, 400),
    "a refusal": (refusal_of_all, 400),
}


def csv_file(header: str, line: str) -> Case:
    def case(size: int) -> Call:
        content = header + "".join(line.format(at) for at in range(size))
        return lambda: list(parse_lines(content))

    return case


def csv_cells(line: str) -> Case:
    def case(size: int) -> Call:
        content = f"key,name\n{line * size}\n"

        def call() -> None:
            with suppress(InvalidClientFile):
                list(parse_lines(content))

        return call

    return case


def csv_header(piece: str) -> Case:
    return lambda size: refused(lambda: list(parse_lines(piece * size + "\n")))


def csv_check(fields: Callable[[int], dict[str, str]], *, known: bool = False) -> Case:
    """The check of lines without the part that needs the database."""

    def case(size: int) -> Call:
        lines = [Line(at, {name: Word(text) for name, text in fields(at).items()}) for at in range(size)]
        plans = dict.fromkeys(words("plan", size))

        def call() -> None:
            row = ClientImport(examples=[], problems=[])
            seen: set[str] = set()
            for line in lines:
                if not client_files._problem(line, seen, plans):
                    client_files._count(row, line, Client(key=line.key, name="before") if known else None)
                seen.add(line.key)

        return call

    return case


def csv_export(size: int) -> Call:
    cells = [(f"=k{at}", "a;=b", None, "active", "eu -x") for at in range(size)]
    return lambda: list(format_lines(cells))


CSV: dict[str, tuple[Case, int]] = {
    "lines": (csv_file("key,name,plan,status\n", "k{},N,,active\n"), 400),
    "lines of spreadsheets": (csv_file("sep=;\nkey;name;;\n", '\'=k{};"a\nb";;\n'), 400),
    "wrong lines": (csv_file("key,name\n", "k{},b,c\n"), 400),
    "empty lines": (csv_file("key,name\n", "\n"), 400),
    "cells of a line": (csv_cells("a,"), 400),
    "quotes of a line": (csv_cells('"'), 400),
    "empty cells of a line": (csv_cells(","), 400),
    "an open quote": (csv_cells('"\n'), 400),
    "columns": (csv_header("x,"), 400),
    "columns of one name": (csv_header("key,"), 400),
    "new clients": (csv_check(lambda at: {"key": f"k{at}"}), 400),
    "changed clients": (csv_check(lambda at: {"key": f"k{at}", "name": "N"}, known=True), 200),
    "duplicate keys": (csv_check(lambda at: {"key": "k"}), 400),
    "unknown plans": (csv_check(lambda at: {"key": f"k{at}", "plan": f"x{at}"}), 400),
    "wrong status": (csv_check(lambda at: {"key": f"k{at}", "status": "x"}), 400),
    "changed tags": (csv_check(lambda at: {"key": f"k{at}", "tags": f"b{at} a"}, known=True), 200),
    "many tags": (csv_check(lambda at: {"key": f"k{at}", "tags": "a " * 40 + "b"}), 200),
    "wrong keys and names": (csv_check(lambda at: {"key": f"k{at}", "name": "\x01"}), 400),
    "an export": (csv_export, 400),
}


CASES = {
    **{f"file: {name}": case for name, case in FILES.items()},
    **{f"csv: {name}": case for name, case in CSV.items()},
}


@pytest.mark.parametrize("name", CASES)
def test_twice_the_input_causes_about_twice_the_work(name: str) -> None:
    case, size = CASES[name]
    assert growth(case, size) <= MOST
