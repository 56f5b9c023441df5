"""The words in the last column of the glossary in ARCHITECTURE.md are not used in the project. Those in backticks are
searched in names defined by the code, split at underscores and capitals; those in quotation marks in texts."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django import forms
from django.apps import apps
from django.contrib import admin
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import spectacular_settings

BASE_DIR = Path(__file__).resolve().parents[2]
CODE = ("ratelimit_enforcer", "limits", "api", "gateway", "ratelimit_platform", "demo", "benchmarks")
DOCUMENTS = ("*.md", "docs/*.md", "benchmarks/*.md", "kubernetes/**/*.*", "containers/*", "docker-compose.yml")
DOCUMENTS += ("Dockerfile", "Makefile", "demo/*.yaml", "docs/*.json", "docs/*.yml", "limits/**/*.sql")
TEMPLATES = ("**/templates/**/*.html", "**/templates/**/*.txt")

PERMITTED = {"CHANGELOG.md", "benchmarks/RESULTS.md"}
"""Records of releases and measurements, with the words of their time. Migrations are excluded for the same reason."""


class Glossary(NamedTuple):
    """Avoided words → the terms used instead. A name is given as its parts: ``("give", "back")``."""

    names: dict[tuple[str, ...], str]
    phrases: dict[str, str]

    def in_name(self, name: str) -> list[str]:
        parts = split(name)
        return [
            f"{name} ({term})"
            for word, term in self.names.items()
            if any(word == run for run in runs(parts, len(word)))
        ]

    def in_text(self, text: str) -> list[str]:
        """Occurrences of such phrases in a text, with their context; line breaks count as spaces."""
        flat = " ".join(text.split())
        return [
            f"…{flat[max(found.start() - 40, 0) : found.end() + 40]}… ({term})"
            for phrase, term in self.phrases.items()
            for found in re.finditer(rf"(?<![\w-]){re.escape(phrase)}(?![\w-])", flat, re.IGNORECASE)
        ]


def section() -> str:
    """The section of the glossary in ARCHITECTURE.md."""
    return (BASE_DIR / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("\n## Glossary\n")[2].split("\n## ")[0]


def rows() -> list[list[str]]:
    """The rows of the glossary as (term, meaning, avoided words)."""
    lines = [line for line in section().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def read_glossary() -> Glossary:
    found = Glossary({}, {})
    for term, _, others in rows():
        found.names.update({split(name): term for name in re.findall(r"`(\w+)`", others)})
        found.phrases.update(dict.fromkeys(re.findall("“([^”]+)”", others), term))
    return found


def split(name: str) -> tuple[str, ...]:
    """``costGivenBack`` and ``_cost_given_back`` → ``("cost", "given", "back")``."""
    return tuple(part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name))


def runs(parts: tuple[str, ...], length: int) -> Iterator[tuple[str, ...]]:
    return (parts[at : at + length] for at in range(len(parts) - length + 1))


def files(folders: Iterable[str], suffix: str) -> list[Path]:
    found = [file for folder in folders for file in (BASE_DIR / folder).rglob(f"*{suffix}")]
    return [file for file in found if "migrations" not in file.parts]


def matching(patterns: Iterable[str]) -> list[Path]:
    found = {file for pattern in patterns for file in BASE_DIR.glob(pattern) if ".venv" not in file.parts}
    return sorted(file for file in found if file.is_file() and place(file) not in PERMITTED)


def place(file: Path) -> str:
    return str(file.relative_to(BASE_DIR))


def defined_names(tree: ast.AST) -> Iterator[str]:
    """Functions, classes, arguments and variables that a module defines, in the order of the tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def lua_names(source: str) -> Iterator[str]:
    for listed in re.findall(
        r"\blocal (?:function )?([\w, ]+)|\bfunction [\w.]*\(([\w, ]*)\)|\bfor ([\w, ]+) in", source
    ):
        yield from re.findall(r"\w+", " ".join(listed))


def texts(tree: ast.AST) -> Iterator[str]:
    """Docstrings, messages, and all other strings of several words."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.value


def comments(source: str) -> str:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return " ".join(token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT)


def prose(file: Path) -> str:
    """The text of a document without the glossary, or of a template without its tags."""
    text = file.read_text(encoding="utf-8")
    if file.name == "ARCHITECTURE.md":
        text = text.replace(section(), "")
    return re.sub(r"{%.*?%}|<[^>]*>", " ", text, flags=re.DOTALL) if "templates" in file.parts else text


def strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value, and every name in its objects."""
    if isinstance(value, dict):
        yield from strings([*value, *value.values()])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


def model_texts() -> Iterator[str]:
    """Names and help texts of models and fields, choices and permissions, as shown by Django."""
    for model in apps.get_app_config("limits").get_models():
        yield from (str(model._meta.verbose_name), str(model._meta.verbose_name_plural))
        yield from (name for _, name in model._meta.permissions)
        yield from (str(constraint.violation_error_message) for constraint in model._meta.constraints)
        for field in model._meta.get_fields():
            yield str(getattr(field, "verbose_name", ""))
            yield str(getattr(field, "help_text", ""))
            yield from strings([str(label) for _, label in getattr(field, "flatchoices", ())])


def form_texts() -> Iterator[str]:
    for form in own_forms(forms.BaseForm):
        for name, field in getattr(form, "base_fields", {}).items():
            yield from (str(field.label or name), str(field.help_text), *map(str, field.error_messages.values()))
            if isinstance(choices := getattr(field, "choices", ()), list | tuple):
                yield from strings([str(label) for _, label in choices])


def own_forms(base: type) -> Iterator[type]:
    for form in base.__subclasses__():
        if form.__module__.startswith("limits."):
            yield form
        yield from own_forms(form)


def admin_texts() -> Iterator[str]:
    """Titles of columns, actions and sections in the admin."""
    for page in admin.site._registry.values():
        shown = [getattr(page, name, None) for name in (*map(str, page.list_display), *map(str, page.actions or ()))]
        yield from (str(getattr(item, "short_description", "")) for item in shown)
        yield from (str(title) for title, _ in page.fieldsets or ())
        yield str(getattr(page, "introduction", ""))


GLOSSARY = read_glossary()


def test_terms_are_unique_and_in_alphabetical_order() -> None:
    terms = [row[0] for row in rows()]

    assert len(terms) > 30
    assert terms == sorted(set(terms), key=str.lower)
    assert not [row for row in rows() if len(row) != 3 or not row[1]]


def test_every_entry_of_the_last_column_is_searched() -> None:
    entries = {re.sub(r'^["“`]|["”`]$', "", entry.strip()) for row in rows() for entry in row[2].split(",") if row[2]}

    assert entries == {*("_".join(name) for name in GLOSSARY.names), *GLOSSARY.phrases}


@pytest.mark.parametrize("word", GLOSSARY.names, ids="_".join)
def test_a_name_with_an_avoided_word_is_found(word: tuple[str, ...]) -> None:
    tree = ast.parse(f"class {''.join(map(str.title, word))}Page: pass\n_old_{'_'.join(word)} = 1")

    assert all(GLOSSARY.in_name(name) for name in defined_names(tree)), (
        "A name is found by its words, in both spellings."
    )
    assert not GLOSSARY.in_name(f"x{'_'.join(word)}x")


@pytest.mark.parametrize("phrase", GLOSSARY.phrases)
def test_a_text_with_an_avoided_phrase_is_found(phrase: str) -> None:
    assert GLOSSARY.in_text(f"Then {phrase.capitalize()} follows.")
    assert GLOSSARY.in_text(f"over two {phrase.replace(' ', chr(10) + '    ')}\nlines")
    assert not GLOSSARY.in_text(f"X{phrase}, {phrase}x")


@pytest.mark.parametrize("folder", CODE)
def test_names_in_python(folder: str) -> None:
    found = [
        f"{place(file)}: {what}"
        for file in files([folder], ".py")
        for name in (file.stem, *defined_names(ast.parse(file.read_text(encoding="utf-8"))))
        for what in GLOSSARY.in_name(name)
    ]
    assert found == []


@pytest.mark.parametrize("folder", CODE)
def test_texts_in_python(folder: str) -> None:
    sources = {file: file.read_text(encoding="utf-8") for file in files([folder], ".py")}
    found = [
        f"{place(file)}: {what}"
        for file, source in sources.items()
        for text in (comments(source), *texts(ast.parse(source)))
        for what in GLOSSARY.in_text(text)
    ]
    assert found == []


def test_scripts_in_lua() -> None:
    sources = {file: file.read_text(encoding="utf-8") for file in files(CODE, ".lua")}
    names = {
        (file, what) for file, source in sources.items() for n in lua_names(source) for what in GLOSSARY.in_name(n)
    }
    found = {(file, what) for file, source in sources.items() for what in GLOSSARY.in_text(source.replace("--", " "))}

    assert sources
    assert names | found == set()


@pytest.mark.parametrize("patterns", [DOCUMENTS, TEMPLATES], ids=["documents", "templates"])
def test_documents_pages_and_emails(patterns: tuple[str, ...]) -> None:
    read = {file: prose(file) for file in matching(patterns) if file.suffix != ".png"}

    assert len(read) > 20
    assert [f"{place(file)}: {what}" for file, text in read.items() for what in GLOSSARY.in_text(text)] == []


@pytest.mark.parametrize("source", [model_texts, form_texts, admin_texts])
def test_the_admin(source: Any) -> None:
    shown = list(source())

    assert len(shown) > 50
    assert [what for text in shown for what in GLOSSARY.in_text(text)] == []


def test_openapi() -> None:
    document = SchemaGenerator(urlconf=spectacular_settings.SERVE_URLCONF).get_schema(request=None, public=True)

    assert [what for text in strings(document) for what in (*GLOSSARY.in_text(text), *GLOSSARY.in_name(text))] == []
