"""Redirections without a host, from nodes that do not know or do not announce their own address
(``cluster-preferred-endpoint-type unknown-endpoint``): they mean the host of the node that answered."""

import socketserver
import threading
from collections.abc import Callable, Iterator

import pytest

from limits.store.client import ClusterClient, control_client_of
from ratelimit_enforcer.store.connections.cluster import ClusterConnections, ClusterMap, slot_of
from ratelimit_enforcer.store.connections.factory import store_connections_of
from ratelimit_enforcer.store.connections.redis_url import parse
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.keys import Keys
from tests.support.hooks import ENDS_WITHIN

KEY = "own:{021}:n:all:ann"
HOST = "127.0.0.5"
"""The address of the nodes. Nothing listens on the same ports at any other address."""


class Node:
    """A stand-in for a node of a Cluster of two nodes, with only what a client sees. ``answer`` gets a
    command, and whether it follows ASKING, and returns the raw reply."""

    def __init__(self, host: str, answer: Callable[[list[str], bool], bytes]) -> None:
        node = self
        self.asked: list[list[str]] = []

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                asking = False
                while command := _command(self.rfile):
                    node.asked.append(command)
                    self.wfile.write(_introduced(command) or answer(command, asking))
                    asking = command == ["ASKING"]

        self._server = socketserver.ThreadingTCPServer((host, 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=[ENDS_WITHIN], daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _command(stream: "socketserver._BufferedIOBase") -> list[str]:  # type: ignore[name-defined]
    """The next command; empty if the client has closed the connection."""
    head = stream.readline()
    return [stream.read(int(stream.readline()[1:]) + 2)[:-2].decode() for _ in range(int(head[1:] or 0))]


def _introduced(command: list[str]) -> bytes:
    """The reply to the commands with which a connection begins."""
    if command == ["CLUSTER", "INFO"]:
        return _bulk("cluster_state:ok\r\ncluster_current_epoch:1\r\n")
    return b"+OK\r\n" if command[0] in ("CLIENT", "ASKING") else b""


def _bulk(text: str) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text), text.encode())


def _slots(port: int, host: bytes, *details: str) -> bytes:
    """The reply that one node has all slots; ``details`` as in Redis 7."""
    more = b"*%d\r\n" % len(details) + b"".join(map(_bulk, details))
    return b"*1\r\n*3\r\n:0\r\n:16383\r\n*4\r\n" + host + b":%d\r\n" % port + _bulk("id") + more


NOWHERE = b"$-1\r\n"


class TwoNodes:
    """The first node claims all slots, and redirects each command to the second one, with ASK or MOVED
    and with ``host`` in place of the address."""

    def __init__(self) -> None:
        self.kind, self.host = "ASK", ""
        self.first, self.second = Node(HOST, self._send_on), Node(HOST, self._serve)

    def _send_on(self, command: list[str], asking: bool) -> bytes:
        if command[0] == "CLUSTER":
            return _slots(self.first.port, NOWHERE)
        return f"-{self.kind} {slot_of(KEY)} {self.host}:{self.second.port}\r\n".encode()

    def _serve(self, command: list[str], asking: bool) -> bytes:
        if command[0] == "CLUSTER":
            return _slots(self.second.port, NOWHERE)
        return b":7\r\n" if asking or self.kind == "MOVED" else b"-ERR nobody asked\r\n"

    @property
    def url(self) -> str:
        """The first address has no listener, so it must not be mistaken for the one of the node that answered."""
        return f"redis+cluster://127.0.0.99:{self.first.port},{HOST}:{self.first.port}"

    def stop(self) -> None:
        self.first.stop()
        self.second.stop()


@pytest.fixture
def nodes() -> Iterator[TwoNodes]:
    started = TwoNodes()
    yield started
    started.stop()


@pytest.mark.parametrize("host", ["", "?"])
@pytest.mark.parametrize("kind", ["ASK", "MOVED"])
def test_a_check_follows_to_the_host_that_answered(nodes: TwoNodes, kind: str, host: str) -> None:
    nodes.kind, nodes.host = kind, host
    connections = store_connections_of(parse(nodes.url), 4, Keys("own"))
    assert isinstance(connections, ClusterConnections)
    assert connections.execute("INCR", KEY, key=KEY, deadline=Deadline(30)) == 7
    assert not connections.outages.is_open


@pytest.mark.parametrize("host", ["", "?"])
def test_the_control_plane_follows_to_the_host_that_answered(nodes: TwoNodes, host: str) -> None:
    nodes.host = host
    patient = control_client_of(parse(nodes.url), timeout=30)
    assert isinstance(patient, ClusterClient)
    assert patient.incr(KEY) == 7


@pytest.mark.parametrize(
    ("host", "details", "found"),
    [
        (NOWHERE, [], HOST),
        (_bulk(""), [], HOST),
        (_bulk("10.1.2.3"), [], "10.1.2.3"),
        (_bulk("node.example"), ["ip", "10.1.2.3"], "node.example"),
        # Hostnames are announced, but this node has none: its address is among the details.
        (_bulk("?"), ["ip", "10.1.2.3"], "10.1.2.3"),
        (_bulk("?"), [], HOST),
        # A node that does not know its endpoint is reached at the address that was used for the question.
        (NOWHERE, ["ip", "10.1.2.3"], HOST),
    ],
)
def test_the_address_of_a_node_in_the_slot_map(host: bytes, details: list[str], found: str) -> None:
    node = Node(HOST, lambda command, asking: _slots(6379, host, *details))
    try:
        cluster_map = ClusterMap(parse(f"redis+cluster://{HOST}:{node.port}"))
        cluster_map.read(Deadline(30))
        assert cluster_map.masters == ((found, 6379),)
    finally:
        node.stop()


def test_a_redirection_without_hostname_goes_to_the_node_with_that_port() -> None:
    node = Node(HOST, lambda command, asking: _slots(6379, _bulk("?"), "ip", "10.1.2.3"))
    try:
        cluster_map = ClusterMap(parse(f"redis+cluster://{HOST}:{node.port}"))
        cluster_map.read(Deadline(30))
        assert cluster_map.redirection_target("?", 6379, (HOST, 6380)) == ("10.1.2.3", 6379)
        assert cluster_map.redirection_target("?", 6381, (HOST, 6380)) == (HOST, 6381)
        assert cluster_map.redirection_target("", 6379, (HOST, 6380)) == (HOST, 6379)
        assert cluster_map.redirection_target("node.example", 6379, (HOST, 6380)) == ("node.example", 6379)
    finally:
        node.stop()
