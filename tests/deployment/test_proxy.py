"""The proxy's configuration for Compose and Kubernetes, in a real nginx in front of a server that echoes requests."""

import json
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ratelimit_platform.embedded.redis import free_port
from ratelimit_platform.request_bodies import LARGEST_BODIES
from tests.support.hooks import ENDS_WITHIN
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("proxy-of-a-deployment")

BASE_DIR = Path(__file__).resolve().parents[2]
# In Debian nginx is in a folder that is not on every user's PATH.
NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"])) or "nginx"
COMPOSE, KUBERNETES = (BASE_DIR / folder / "nginx.conf" for folder in ("containers", "kubernetes/base"))


class Tells(BaseHTTPRequestHandler):
    """Answers with the received headers, the length of the body, and its port."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        port = self.connection.getsockname()[1]
        told = json.dumps({"headers": self.headers.items(), "length": len(body), "port": port}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *arguments: object) -> None:
        """Logs nothing."""


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[int, int]]:
    """The ports of two servers, in place of web and gateway."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Tells) for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever, args=[ENDS_WITHIN], daemon=True).start()
    yield servers[0].server_port, servers[1].server_port
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module", params=[COMPOSE, KUBERNETES], ids=["compose", "kubernetes"])
def proxy(
    tmp_path_factory: pytest.TempPathFactory, servers: tuple[int, int], request: pytest.FixtureRequest
) -> Iterator[int]:
    """The port of nginx with this configuration, without the parts that need the network of containers."""
    folder = tmp_path_factory.mktemp("nginx")
    web, gateway = servers
    port = free_port()
    text = request.param.read_text(encoding="utf-8")
    text = re.sub(r"resolver .*;", "", text)
    text = re.sub(r"server web\S*:8000 .*;", f"server 127.0.0.1:{web};", text)
    text = re.sub(r"server gateway\S*:8081 .*;", f"server 127.0.0.1:{gateway};", text)
    text = text.replace("/tmp/", f"{folder}/").replace("listen 8080;", f"listen 127.0.0.1:{port};")
    (folder / "nginx.conf").write_text(text)
    log = str(folder / "error.log")
    options = ["-p", str(folder), "-e", log, "-g", f"daemon off; {_user()}"]
    command = [NGINX, "-c", str(folder / "nginx.conf"), *options]
    with subprocess.Popen(command) as nginx:
        wait_until(lambda: nginx.poll() is not None or _listens(port))
        yield port
        nginx.terminate()


def _user() -> str:
    """The directive for the user that runs the tests, because another user cannot write into their folder."""
    return "user root;" if os.geteuid() == 0 else ""


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def send(port: int, path: str, length: int = 0, *headers: str, sent: int | None = None) -> tuple[int, str]:
    """Status and body of the answer to a request of which ``sent`` bytes of the body are sent (None: all)."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {length}", *headers]
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + b"x" * (length if sent is None else sent))
        # Not read until the end, because nginx keeps a rejected connection open for some seconds.
        answer = HTTPResponse(connection, method="POST")
        answer.begin()
        return answer.status, answer.read().decode()


def forwarded(proxy: int) -> dict[str, list[str]]:
    """The headers that arrive after a caller has forged some."""
    forged = ("X-Forwarded-For: 203.0.113.1", "X_Forwarded_For: 203.0.113.2", "X_Forwarded_Proto: https")
    status, body = send(proxy, "/v1/check", 0, *forged, "X-Forwarded-Proto: https", "X.Odd: 1")
    arrived = [(name.lower().replace("_", "-"), value) for name, value in json.loads(body)["headers"]]
    assert status == 200
    return {
        name: [value for other, value in arrived if other == name]
        for name in ("x-forwarded-for", "x-forwarded-proto", "x.odd")
    }


@pytest.mark.parametrize("proxy", [COMPOSE], indirect=True)
def test_a_caller_cannot_claim_an_address_or_a_scheme(proxy: int) -> None:
    assert forwarded(proxy) == {"x-forwarded-for": ["127.0.0.1"], "x-forwarded-proto": ["http"], "x.odd": []}


@pytest.mark.parametrize("proxy", [KUBERNETES], indirect=True)
def test_headers_of_an_ingress_are_kept_and_its_address_is_appended(proxy: int) -> None:
    """With ``NUM_PROXIES=2`` the caller's address is taken from these two."""
    appended = {"x-forwarded-for": ["203.0.113.1, 127.0.0.1"], "x-forwarded-proto": ["https"], "x.odd": []}
    assert forwarded(proxy) == appended


@pytest.mark.parametrize(
    ("path", "most"),
    [(path, most) for path, most in LARGEST_BODIES if path not in ("/v1/", "/admin/")]
    + [("/v1/check", 64 * 1024), ("/admin/limits/policy/add/", 2560 * 1024), ("/shop/orders", 64 * 1024)],
)
def test_the_proxy_has_the_same_maximum_body_sizes_as_the_platform(proxy: int, path: str, most: int) -> None:
    status, body = send(proxy, path, most)
    assert (status, json.loads(body)["length"]) == (200, most)
    status, body = send(proxy, path, most + 1, sent=0)
    assert (status, json.loads(body)["type"]) == (413, "/problems/body-too-large")


def test_an_incomplete_body_is_not_passed_to_the_server(proxy: int) -> None:
    with socket.create_connection(("127.0.0.1", proxy), timeout=60) as slow:
        slow.sendall(b"POST /v1/check HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{")
        assert send(proxy, "/v1/check", 2)[0] == 200
        slow.sendall(b"}")
        assert slow.recv(65_536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/forward-auth/nginx", "/v1/forward-auth/envoy/api/search", "/v1/forward-auth", "/v1/forward-auth/"),
        *("//v1//forward-auth/nginx", "/v1/./forward-auth/nginx", "/x/../v1/forward-auth/nginx"),
        *("/v1/forward%2Dauth/nginx", "/v1%2Fforward-auth%2Fnginx", "/%76%31/forward-auth/nginx?denied=403"),
    ],
)
def test_forward_auth_is_refused_from_outside(proxy: int, path: str) -> None:
    status, body = send(proxy, path, 0, "X-RateLimit-Token: any", "X-Forwarded-Uri: /", "X-Forwarded-Method: GET")
    assert (status, json.loads(body)["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize(
    "path", ["/v1/check", "/v1/forward", "/shop/v1/forward-auth/nginx", "/v1/forward%252Dauth/nginx"]
)
def test_other_paths_pass(proxy: int, path: str) -> None:
    assert send(proxy, path)[0] == 200


BY_GATEWAY = ["/v1/check", "/v1/check?status=200", "/v1/check/batch", "/v1/peek", "/v1/charge", "/v1/reservations"]
BY_GATEWAY += ["/v1/reservations/settle", "/v1/reservations/abc/settle", "/v1/reservations/abc"]
BY_WEB = ["/v1/usage", "/v1/clients/a", "/v1/checks", "/admin/", "/api/docs/", "/metrics", "/v1/config", "/problems/x"]


@pytest.mark.parametrize(("path", "at"), [*((path, 1) for path in BY_GATEWAY), *((path, 0) for path in BY_WEB)])
def test_checks_are_sent_to_the_gateway_and_everything_else_to_web(
    proxy: int, servers: tuple[int, int], path: str, at: int
) -> None:
    status, body = send(proxy, path)
    assert (status, json.loads(body)["port"]) == (200, servers[at])
