"""Every fault on every kind of store, under load on two web servers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from tests.faults.injectors import FAULTS
from tests.faults.mode import DEADLINE, LONG, SECONDS
from tests.faults.report import note
from tests.faults.running import run, violations
from tests.faults.world import World

pytestmark = pytest.mark.django_db(transaction=True)


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
def test_the_platform_keeps_deciding_within_the_stated_bounds(kind: str, world_of: Callable[[str], World]) -> None:
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
