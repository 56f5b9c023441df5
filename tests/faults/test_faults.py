"""Every fault on every kind of store, under load over two web servers.

``FAULT_SECONDS=15`` holds each fault longer, and holds the answers to the time stated for coming back as well,
which needs a machine that does nothing else: ``make faults``.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from tests.faults.injectors import FAULTS
from tests.faults.report import note
from tests.faults.running import run, violations
from tests.faults.world import World

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "FAULT_SECONDS" in os.environ
SECONDS = float(os.environ.get("FAULT_SECONDS", "1"))
DEADLINE = 0.1 if LONG else 0.3


@pytest.fixture
def world_of(tmp_path: Path, settings: Settings) -> Iterator[Callable[[str], World]]:
    worlds: list[World] = []

    def start(kind: str) -> World:
        worlds.append(World(kind, tmp_path, settings, DEADLINE))
        return worlds[-1].start()

    yield start
    for world in worlds:
        world.stop()


@pytest.mark.parametrize("kind", FAULTS)
def test_it_keeps_deciding(kind: str, world_of: Callable[[str], World]) -> None:
    world = world_of(kind)
    wrong = {}
    for fault in FAULTS[kind]:
        findings = run(fault(world), world, kind, SECONDS)
        note(findings)
        if found := violations(findings):
            wrong[findings.name] = found
        if LONG and findings.back > findings.bound.back:
            wrong[f"{findings.name}, back after"] = findings.back
    assert not wrong
