"""The stage that runs in separate namespaces for network and processes."""

from collections.abc import Mapping
from pathlib import Path

from tests.containers import checks
from tests.containers.compose import Project
from tests.containers.engine import Engine
from tests.containers.platform import Platform
from tests.containers.report import Report
from tests.containers.world import World
from tests.support.commands import run

ENGINE_STATE = Path("/run/containers")
"""The folder for the state of networks, which the engine uses regardless of its own folder."""


def run_checks(engine: Engine, project: Project, secrets: Mapping[str, str]) -> int:
    """Starts everything, checks it, and removes it. Returns the exit status."""
    _prepare()
    world, report = World(engine, project), Report()
    try:
        world.remove()  # remains of a killed run in a kept folder
        world.create_networks()
        checks.check_image(report, world, secrets)
        if checks.start_all(report, world):
            _check_running(report, world, secrets)
    finally:
        if report.failed:
            _show_output(world)
        world.remove()
    return report.close()


def _prepare() -> None:
    run(["ip", "link", "set", "lo", "up"])
    ENGINE_STATE.mkdir(parents=True, exist_ok=True)
    run(["mount", "-t", "tmpfs", "none", str(ENGINE_STATE)])


def _check_running(report: Report, world: World, secrets: Mapping[str, str]) -> None:
    address = world.project.services["proxy"].stated["ports"][0].rpartition(":")[0]
    platform = Platform(world, address)
    checks.check_versions(report, world)
    checks.check_rights(report, world)
    checks.check_networks(report, world)
    if checks.check_platform(report, platform):
        checks.check_restarts(report, world, platform)
        checks.check_scaling(report, world, platform)
        checks.check_commands(report, platform)
    checks.check_https(report, world)
    checks.check_output(report, world, secrets)


def _show_output(world: World) -> None:
    for name in world.engine.containers():
        print(f"\n── the end of what {name} printed\n{world.engine.output(name)[-3000:]}", flush=True)
