"""Real proxies with the documented configurations."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from ratelimit_platform.embedded.redis import free_port
from tests.proxies.documented import block, replaced
from tests.support.waiting import wait_until

BIN = Path(sys.executable).parent
TOKEN = "rl_of_the_proxy"
# In Debian nginx is in a folder that is not on every user's PATH.
NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"])) or "nginx"


class Addresses(NamedTuple):
    """The ports of a proxy, of the platform and of the application on 127.0.0.1, and the proxy's token."""

    port: int
    platform: int
    application: int
    token: str


def nginx(addresses: Addresses, folder: Path, *, admits: bool) -> list[str]:
    """The command of nginx. ``admits``: requests are admitted while the platform does not answer."""
    config = _with_addresses(block("nginx", "nginx"), addresses, {"listen 80;": f"listen 127.0.0.1:{addresses.port};"})
    if admits:
        config = replaced(config, {"# error_page 500": "error_page 500"})
    paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in paths)
    config = replaced(config, {"http {\n": f"http {{ access_log off; {temporary}\n"})
    (folder / "nginx.conf").write_text(config)
    user = "user root; " if os.geteuid() == 0 else ""
    options = f"daemon off; worker_processes 1; pid {folder}/nginx.pid; {user}"
    return [NGINX, "-c", str(folder / "nginx.conf"), "-p", str(folder), "-e", str(folder / "log"), "-g", options]


def caddy(addresses: Addresses, folder: Path, *, admits: bool) -> list[str]:
    """The command of Caddy, without its port for administration."""
    config = _with_addresses(block("Caddy", "caddyfile"), addresses, {":80 {": f":{addresses.port} {{"})
    if admits:
        before, mark, after = config.partition("\t# handle_errors")
        assert mark
        config = before + (mark + after).replace("\t# ", "\t")
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n\tpersist_config off\n}}\n{config}")
    return [str(BIN / "caddy"), "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


def envoy(addresses: Addresses, folder: Path, *, admits: bool) -> list[str]:
    """The command of Envoy."""
    listens = {
        "address: 0.0.0.0, port_value: 80}": f"address: 127.0.0.1, port_value: {addresses.port}}}",
        "address: app, port_value: 8080": f"address: 127.0.0.1, port_value: {addresses.application}",
        "address: platform, port_value: 8000": f"address: 127.0.0.1, port_value: {addresses.platform}",
        "TOKEN": addresses.token,
    }
    config = replaced(block("Envoy", "yaml"), listens)
    if admits:
        config = replaced(config, {"failure_mode_allow: false": "failure_mode_allow: true"})
    (folder / "envoy.yaml").write_text(config)
    command = [str(BIN / "envoy"), "-c", str(folder / "envoy.yaml"), "--log-level", "error"]
    return [*command, "--concurrency", "1", "--disable-hot-restart"]


def traefik(addresses: Addresses, folder: Path, *, admits: bool) -> list[str]:
    """The command of Traefik, which never admits requests while the platform does not answer."""
    assert not admits
    (folder / "routes.yml").write_text(_with_addresses(block("Traefik", "yaml"), addresses, {}))
    return [
        str(BIN / "traefik"),
        f"--entryPoints.web.address=127.0.0.1:{addresses.port}",
        f"--providers.file.filename={folder / 'routes.yml'}",
        "--global.checkNewVersion=false",
        "--global.sendAnonymousUsage=false",
        "--log.level=ERROR",
    ]


Proxy = Callable[..., list[str]]

PROXIES: dict[str, Proxy] = {"nginx": nginx, "caddy": caddy, "envoy": envoy}
"""Proxies that pass the rate limit headers to the caller, and can admit requests while the platform does not answer:
all but Traefik."""


def _with_addresses(config: str, addresses: Addresses, more: dict[str, str]) -> str:
    places = {
        "app:8080": f"127.0.0.1:{addresses.application}",
        "platform:8000": f"127.0.0.1:{addresses.platform}",
        "TOKEN": addresses.token,
    }
    return replaced(config, places | more)


@contextmanager
def running_proxy(
    proxy: Proxy, folder: Path, *, platform: int, application: int, token: str, admits: bool = False
) -> Iterator[int]:
    """The port of a proxy, which answers until the end of the block."""
    folder.mkdir(exist_ok=True)
    addresses = Addresses(free_port(), platform, application, token)
    environment = os.environ | {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    command = proxy(addresses, folder, admits=admits)
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: process.poll() is not None or _listens(addresses.port))
        assert process.poll() is None, (folder / "output").read_text()
        yield addresses.port
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


Kind = tuple[str, bool]
"""Name of the proxy, and whether it admits requests while the platform does not answer."""

KINDS: list[Kind] = [(name, admits) for name in PROXIES for admits in (False, True)]


@contextmanager
def all_proxies(platform: int, application: int, folder: Path, token: str = TOKEN) -> Iterator[dict[Kind, int]]:
    """The ports of all proxies, those that admit requests while the platform does not answer and those that do not."""
    with ExitStack() as running:
        yield {
            (name, admits): running.enter_context(
                running_proxy(
                    PROXIES[name],
                    folder / f"{name}-{admits}",
                    platform=platform,
                    application=application,
                    token=token,
                    admits=admits,
                )
            )
            for name, admits in KINDS
        }
