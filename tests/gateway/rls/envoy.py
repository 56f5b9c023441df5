"""A real Envoy, configured as docs/envoy.md prints it, in front of a small site."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from ratelimit_platform.embedded.redis import free_port
from tests.support.waiting import wait_until

BASE_DIR = Path(__file__).resolve().parents[3]
ENVOY = Path(sys.executable).with_name("envoy")


class _Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"from the site"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if "x-costs" in self.headers:
            self.send_header("x-cost", self.headers["x-costs"])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Writes no log."""


@contextmanager
def running_site() -> Iterator[int]:
    """A site that answers every GET; the header ``x-costs`` is sent back as ``x-cost``. Yields its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def documented_config() -> str:
    """The configuration in docs/envoy.md."""
    found = re.search(r"```yaml\n(.*?)```", (BASE_DIR / "docs" / "envoy.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def replaced(config: str, changes: dict[str, str]) -> str:
    """The configuration with each of these texts replaced; each must be there."""
    for old, new in changes.items():
        assert old in config, old
        config = config.replace(old, new)
    return config


@contextmanager
def running_envoy(
    folder: Path, *, site: int, service: int, token: str, changes: dict[str, str]
) -> Iterator[httpx.Client]:
    """An Envoy in front of the site, which asks the service; yields a client of it. ``site``, ``service``: ports."""
    port = free_port()
    ports = {"port_value: 10000": f"port_value: {port}", "port_value: 8080": f"port_value: {site}"}
    ports |= {"port_value: 8082": f"port_value: {service}", "Bearer TOKEN": f"Bearer {token}"}
    path = folder / "envoy.yaml"
    path.write_text(replaced(documented_config(), ports | changes), encoding="utf-8")
    command = [ENVOY, "-c", path, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"]
    with (folder / "envoy.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                wait_until(lambda: _accepts(client, process))
                yield client
        finally:
            process.terminate()


def _accepts(client: httpx.Client, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "Envoy has ended."
    with suppress(httpx.TransportError):
        return client.get("/ready").status_code > 0
    return False
