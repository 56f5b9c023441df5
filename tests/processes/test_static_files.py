"""Static files are processed once, and again only if necessary."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.storage import FileSystemStorage, InMemoryStorage, StorageHandler

MANIFEST = "staticfiles.json"


class Collected:
    """The files of a page, collected into a folder like by ``collectstatic``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sources: dict[str, bytes] = {"page.css": b"body {background: url(tea.svg)}" * 99, "tea.svg": b"<svg/>"}

    def process(self) -> list[Any]:
        """The results of the configured storage for each processed file: whether it is new, or the error."""
        original = InMemoryStorage()
        for name, content in self.sources.items():
            with original.open(name, "wb") as file:
                file.write(content)
            (self.folder / name).write_bytes(content)
        options = {"location": self.folder, "base_url": "/static/", "manifest_storage": FileSystemStorage(self.folder)}
        handler = StorageHandler({"static": settings.STORAGES["staticfiles"] | {"OPTIONS": options}})
        paths = {name: (original, name) for name in self.sources}
        return [processed for _, _, processed in handler["static"].post_process(paths)]

    @property
    def hashed(self) -> dict[str, str]:
        """Name → name with the hash."""
        paths: dict[str, str] = json.loads((self.folder / MANIFEST).read_bytes())["paths"]
        return paths

    @property
    def nodes(self) -> dict[str, int]:
        """Name of a file → its inode, which a replacement does not have."""
        return {file.name: file.stat().st_ino for file in self.folder.iterdir()}


@pytest.fixture
def collected(tmp_path: Path) -> Collected:
    return Collected(tmp_path)


def test_processed_files_are_not_processed_again(collected: Collected) -> None:
    assert collected.process()
    before = collected.nodes
    assert collected.process() == []
    assert collected.nodes == before


def test_changed_and_new_files_are_processed(collected: Collected) -> None:
    collected.process()
    before = collected.hashed
    collected.sources["tea.svg"] = b"<svg />"
    assert collected.process()
    assert before.items().isdisjoint(collected.hashed.items()), "The page names the picture."
    assert f"{collected.hashed['page.css']}.gz" in collected.nodes
    collected.sources["new.svg"] = b"<svg/>"
    assert collected.process()
    assert set(collected.hashed) == set(collected.sources)


@pytest.mark.parametrize("lost", ["a file", MANIFEST])
def test_missing_results_are_processed_again(collected: Collected, lost: str) -> None:
    collected.process()
    before = set(collected.nodes)
    (collected.folder / (collected.hashed["page.css"] if lost == "a file" else lost)).unlink()
    assert collected.process()
    assert set(collected.nodes) == before


def test_a_failure_is_reported_each_time(collected: Collected) -> None:
    collected.sources["page.css"] = b"body {background: url(nothing.svg)}"
    for _ in range(2):
        assert any(isinstance(processed, Exception) for processed in collected.process())
