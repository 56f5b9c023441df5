"""All checks of running containers."""

import re
import time
from collections.abc import Mapping
from dataclasses import replace

from tests.containers import images
from tests.containers.compose import Service, in_order
from tests.containers.platform import Platform
from tests.containers.report import Report
from tests.containers.world import CheckFailed, World, proc

VERSIONS = {
    "web": ("python", "--version"),
    "postgres": ("postgres", "--version"),
    "redis": ("redis-server", "--version"),
    "proxy": ("nginx", "-v"),
}
"""Container → command that prints the version of its program."""

RESTARTED = ("web", "gateway", "worker", "beat", "proxy", "redis", "postgres")


def check_image(report: Report, world: World, secrets: Mapping[str, str]) -> None:
    engine, image = world.engine, world.project.services["web"].image
    report.check("image: size", lambda: images.size(engine, image))
    report.check("image: its user is not root", lambda: images.user(engine, image))
    report.check("image: secrets", lambda: images.without_secrets(engine, image, secrets))
    report.check("image: bytecode", lambda: images.bytecode(engine, image))
    report.check("image: no server of make run", lambda: images.without_servers(engine, image))


def check_versions(report: Report, world: World) -> None:
    report.check("versions", lambda: ", ".join(_version(world, name, *words) for name, words in VERSIONS.items()))


def _version(world: World, name: str, *words: str) -> str:
    said = world.engine.podman("exec", name, "sh", "-c", f"{' '.join(words)} 2>&1")
    found = re.search(r"\d+\.[\d.]+", said)
    return f"{name} {found[0] if found else said.strip()}"


def start_all(report: Report, world: World) -> bool:
    """Starts every service under the conditions of the compose file. Returns whether all started."""
    return all(
        report.check(f"start: {service.name}", lambda service=service: _start(world, service))  # type: ignore[misc]
        for service in in_order(world.project.services)
    )


def _start(world: World, service: Service) -> str:
    for other, condition in service.depends_on.items():
        world.wait_for(other, condition)
    world.start(service)
    if service.health_check:
        world.wait_until_healthy(service.name)
        return "healthy"
    return "started"


def check_rights(report: Report, world: World) -> None:
    for name, service in _running(world).items():
        report.check(f"rights: {name}", lambda service=service: _rights(world, service))  # type: ignore[misc]


def _running(world: World) -> dict[str, Service]:
    return {name: service for name, service in world.project.services.items() if service.stated.get("restart") != "no"}


def _rights(world: World, service: Service) -> str:
    """Compares the kernel's status of the container's first process with the compose file."""
    process = world.process(service.name)
    status = dict(line.split(":\t", 1) for line in proc(process, "status").splitlines() if ":\t" in line)
    (root,) = [line.split() for line in proc(process, "mounts").splitlines() if line.split()[1] == "/"][-1:]
    wanted = {
        "a file system that is only read": ("read_only" in service.stated, "ro" in root[3].split(",")),
        "no capability": ("cap_drop" in service.stated, int(status["CapBnd"], 16) == int(status["CapEff"], 16) == 0),
        "no new privileges": ("security_opt" in service.stated, status["NoNewPrivs"] == "1"),
        "not root": (True, status["Uid"].split()[0] != "0"),
    }
    lacking = [what for what, (stated, found) in wanted.items() if stated and not found]
    if lacking:
        raise CheckFailed(f"lacks: {', '.join(lacking)}")
    return f"user {status['Uid'].split()[0]}, {', '.join(what for what, (stated, _) in wanted.items() if stated)}"


def check_networks(report: Report, world: World) -> None:
    report.check("networks: names that each service resolves", lambda: _names(world))
    for name in ("postgres", "redis"):
        report.check(f"networks: {name} cannot connect to the outside", lambda name=name: _no_way_out(world, name))  # type: ignore[misc]


def _names(world: World) -> str:
    services = _running(world)
    wrong = []
    for name, service in services.items():
        others = [other for other in services if other != name]
        script = "for name; do getent hosts $name >/dev/null && echo $name; done; true"
        found = set(world.engine.podman("exec", name, "sh", "-c", script, "sh", *others).split())
        meant = {other for other in others if _shared(service, services[other])}
        wrong += [f"{name} finds {other}" for other in found - meant]
        wrong += [f"{name} does not find {other}" for other in meant - found]
    if wrong:
        raise CheckFailed("; ".join(wrong))
    return "as the networks of the compose file say"


def _shared(one: Service, other: Service) -> bool:
    return bool(set(one.stated["networks"]) & set(other.stated["networks"]))


def _no_way_out(world: World, name: str) -> None:
    routes = [line.split() for line in proc(world.process(name), "net/route").splitlines()[1:]]
    if any(route[1] == "00000000" for route in routes):
        raise CheckFailed("It has a route to everywhere.")


def check_platform(report: Report, platform: Platform) -> bool:
    """From the first rule to the first email. Returns whether all checks passed."""
    return (
        report.check("rules: apply_config", platform.apply_config)
        and report.check("rules: issue_token", platform.issue_token)
        and report.check("pages through the proxy", platform.pages)
        and report.check("first 429 through the proxy", lambda: platform.first_denial("acme"))
        and report.check("email of the alert", lambda: platform.mail_about("acme"))
    )


def check_restarts(report: Report, world: World, platform: Platform) -> None:
    for name in RESTARTED:
        report.check(f"restart: {name}", lambda name=name: _restart(world, platform, name))  # type: ignore[misc]
        report.check(f"crash: {name}", lambda name=name: _crash(world, platform, name))  # type: ignore[misc]
    report.check("first 429 after all of them", lambda: platform.first_denial("second"))
    report.check("email after all of them", lambda: platform.mail_about("second"))


def _restart(world: World, platform: Platform, name: str) -> str:
    took = world.stop(name)
    world.engine.podman("start", name)
    return f"ended within {took:.1f} s; {_wait_until_well(world, platform)}"


def _crash(world: World, platform: Platform, name: str) -> str:
    world.crash(name)
    return f"killed, started by its restart policy; {_wait_until_well(world, platform)}"


def _wait_until_well(world: World, platform: Platform) -> str:
    """Waits until checks are decided and every health check passes. Returns how long both took."""
    began = time.monotonic()
    platform.wait_until_it_decides("acme")
    decided = time.monotonic() - began
    for service in _running(world).values():
        if service.health_check:
            world.wait_until_healthy(service.name)
    return f"decides after {decided:.1f} s, all healthy after {time.monotonic() - began:.1f} s"


def check_scaling(report: Report, world: World, platform: Platform) -> None:
    report.check("a second web container serves while the first is stopped", lambda: _scale(world, platform))


def _scale(world: World, platform: Platform) -> None:
    web = world.project.services["web"]
    world.start(web, "web-2", "--network-alias", "web")
    world.wait_until_healthy("web-2", web.health_check)
    world.stop("web")
    platform.wait_until_it_decides("acme")
    world.engine.podman("start", "web")
    world.wait_until_healthy("web")
    world.stop("web-2")
    platform.wait_until_it_decides("acme")


def check_commands(report: Report, platform: Platform) -> None:
    report.check("commands of docs/containers.md", platform.run_documented_commands)


def check_https(report: Report, world: World) -> None:
    report.check("healthy behind TLS, HTTPS=1", lambda: _https(world))


def _https(world: World) -> None:
    web = world.project.services["web"]
    stated = web.stated | {"environment": web.stated["environment"] | {"HTTPS": "1"}}
    world.start(replace(web, stated=stated), "web-https")
    world.wait_until_healthy("web-https", web.health_check)
    world.stop("web-https")


def check_output(report: Report, world: World, secrets: Mapping[str, str]) -> None:
    report.check("no secret in the output of the containers", lambda: _output(world, secrets))


def _output(world: World, secrets: Mapping[str, str]) -> None:
    printed = {name: world.engine.output(name) for name in world.project.services}
    found = [f"{name} of {one}" for one, text in printed.items() for name, value in secrets.items() if value in text]
    if found:
        raise CheckFailed("; ".join(found))
