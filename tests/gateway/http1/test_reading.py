"""What is read, and what is refused (RFC 9110, RFC 9112): nothing is left to interpretation, because a proxy in front
may interpret it otherwise."""

import pytest

from tests.gateway.http1.serving import Peer, Serving, get, post
from tests.support.waiting import wait_until

HOST = b"Host: testserver\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: testserver\r\n\r\n"

REFUSED = {
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
    "two equal lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n1",
    "a list of lengths": b"POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n1",
    "a length with a sign": b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n1",
    "a negative length": b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n1",
    "no length": b"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n1",
    "a length beyond 64 bits": b"POST / HTTP/1.1\r\nContent-Length: 18446744073709551617\r\n\r\n1",
    "length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "an unknown coding": b"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding after chunks": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a wrong size of a chunk": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\r\n",
    "a folded line": b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
    "lines without CR": b"GET / HTTP/1.1\nHost: testserver\n\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
    "NUL": b"GET / HTTP/1.1\r\nA: b\x00c\r\n\r\n",
    "a control character": b"GET / HTTP/1.1\r\nA: b\x01c\r\n\r\n",
    "CR in a value": b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
    "NUL in the address": b"GET /\x00 HTTP/1.1\r\n\r\n",
    "bytes in the address": b"GET /\xff HTTP/1.1\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\n: b\r\n\r\n",
    "an unknown method": b"BREW / HTTP/1.1\r\n\r\n",
    "HTTP/2.0 as text": b"GET / HTTP/2.0\r\n\r\n",
    "HTTP/0.9": b"GET / HTTP/0.9\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a proxied connection": b"CONNECT testserver:80 HTTP/1.1\r\nHost: testserver\r\n\r\n",
    "a port beyond 65,535": b"GET http://testserver:99999/ HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_is_not_valid_is_refused_and_nothing_after_it_is_read(peer: Peer, serving: Serving, data: bytes) -> None:
    peer.send(data + SMUGGLED)
    reply = peer.reply()
    assert (reply.status, reply.headers["connection"]) == (400, "close")
    assert reply.headers["content-type"] == "application/problem+json"
    assert peer.rest() == b""
    assert serving.mirror.handled == []


def test_the_second_header_of_a_name_is_appended(peer: Peer) -> None:
    meta = peer.send(get("/", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 2.2.2.2")).reply().asked["meta"]
    assert meta["HTTP_X_FORWARDED_FOR"] == "1.1.1.1,2.2.2.2"


def test_a_name_with_an_underscore_is_ignored(peer: Peer) -> None:
    lines = ["X_Forwarded_For: 1.1.1.1", "Remote_Addr: 1.1.1.1", "X-Real_IP: 1.1.1.1", f"{'a_' * 40}: 1"]
    meta = peer.send(get("/", *lines)).reply().asked["meta"]
    assert not any("1.1.1.1" in value for value in meta.values())
    assert meta["REMOTE_ADDR"] == "127.0.0.1"


def test_headers_cannot_replace_what_the_server_knows(peer: Peer) -> None:
    meta = (
        peer.send(get("/?a=b", "Remote-Addr: 1.1.1.1", "Request-Method: POST", "Query-String: c")).reply().asked["meta"]
    )
    assert (meta["REMOTE_ADDR"], meta["REQUEST_METHOD"], meta["QUERY_STRING"]) == ("127.0.0.1", "GET", "a=b")


CHUNKS = b"POST / HTTP/1.1\r\nHost: testserver\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"


def test_a_body_in_chunks_is_skipped(peer: Peer) -> None:
    peer.send(CHUNKS + b"\r\n" + get("/next"))
    assert peer.reply().asked["body"] == ""
    assert peer.reply().asked["path"] == "/next"


def test_fields_after_chunks_have_no_effect(peer: Peer) -> None:
    peer.send(CHUNKS + b"Authorization: Bearer x\r\nX-Forwarded-For: 1.1.1.1\r\nHost: b\r\n\r\n" + get("/next"))
    meta = peer.reply().asked["meta"]
    assert meta["HTTP_HOST"] == "testserver"
    assert {"HTTP_AUTHORIZATION", "HTTP_X_FORWARDED_FOR"} & meta.keys() == set()
    assert peer.reply().asked["path"] == "/next"


ENDLESS = {
    "chunks": CHUNKS[:-3] + b"ffff\r\n" + b"x" * 65_535 + b"\r\nffff\r\n" + b"x" * 9_000,
    "a field after chunks": CHUNKS + b"A: " + b"x" * 70_000,
    "an extension of a chunk": CHUNKS[:-3] + b"1;" + b"x" * 70_000,
}


@pytest.mark.parametrize("data", ENDLESS.values(), ids=ENDLESS)
def test_the_size_of_a_body_in_chunks_is_bounded(peer: Peer, data: bytes) -> None:
    assert peer.send(data).reply().status == 411
    assert peer.rest() == b""


LARGE = {
    "one header": b"A: " + b"x" * 70_000,
    "a name": b"x" * 70_000,
    "many headers": b"".join(b"A%d: b\r\n" % number for number in range(102)),
    "many headers of one name": b"A: b\r\n" * 10_000,
    "many headers and the end": b"A: b\r\n" * 101 + b"\r\n",
}


@pytest.mark.parametrize("lines", LARGE.values(), ids=LARGE)
def test_the_size_of_headers_is_bounded(peer: Peer, serving: Serving, lines: bytes) -> None:
    assert peer.send(b"GET / HTTP/1.1\r\n" + lines).reply().status == 431
    assert peer.rest() == b""
    assert serving.mirror.handled == []


def test_the_size_of_the_address_is_bounded(peer: Peer) -> None:
    assert peer.send(get("/" + "a" * 60_000)).reply().status == 200
    assert peer.send(get("/" + "a" * 70_000)).reply().status == 431


def test_a_hundred_headers_are_read(peer: Peer) -> None:
    meta = peer.send(get("/", *(f"A{number}: b" for number in range(99)))).reply().asked["meta"]
    assert meta["HTTP_A98"] == "b"


PATHS = {
    "/a%20b": "/a b",
    "/%C3%A9": "/é",
    "/%FF": "/%FF",
    "/%ff%C3%A9": "/%FFé",
    "/%": "/%",
    "/%zz": "/%zz",
    "/a%2Fb": "/a/b",
    "/%00": "/\x00",
    "//a//b": "//a//b",
    "/../a": "/../a",
    "/a#b": "/a",
    "http://other/a?b": "/a",
    "http://other": "/",
    "*": "*",
}


@pytest.mark.parametrize("target", PATHS)
def test_the_path_is_that_of_django(peer: Peer, target: str) -> None:
    assert peer.send(get(target)).reply().asked["path"] == PATHS[target]


def test_empty_lines_before_a_request_are_skipped(peer: Peer) -> None:
    assert peer.send(b"\r\n\r\n" + get("/a")).reply().asked["path"] == "/a"


UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB")


@pytest.mark.parametrize("body", [b"", b"abc", b"x" * 5_000])
def test_an_offer_of_another_protocol_is_ignored(peer: Peer, body: bytes) -> None:
    """Clients of Java send one with every first request."""
    for _ in range(2):
        peer.send(post(body, *UPGRADE) + get("/next"))
        assert peer.reply().asked["body"] == body.decode()
        assert peer.reply().asked["path"] == "/next"


def test_an_offer_of_another_protocol_with_chunks_is_ignored(peer: Peer) -> None:
    lines = "\r\n".join(UPGRADE).encode() + b"\r\n"
    peer.send(CHUNKS.replace(HOST, HOST + lines) + b"\r\n" + get("/next"))
    assert [peer.reply().asked["path"] for _ in range(2)] == ["/", "/next"]


EXPECT = "Expect: 100-continue"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_caller_that_waits_is_invited_to_send_the_body(peer: Peer) -> None:
    peer.send(post(b"", EXPECT, length=3))
    assert peer.socket.recv(len(CONTINUE)) == CONTINUE
    assert peer.send(b"abc").reply().asked["body"] == "abc"


def test_an_invitation_comes_after_earlier_answers(peer: Peer, serving: Serving) -> None:
    peer.send(get("/held") + post(b"", EXPECT, length=3))
    wait_until(lambda: serving.mirror.handled == ["/held"])
    serving.release()
    assert peer.reply().asked["path"] == "/held"
    assert peer._file.read(len(CONTINUE)) == CONTINUE
    assert peer.send(b"abc").reply().asked["body"] == "abc"


@pytest.mark.parametrize("data", [post(b"", EXPECT), get("/", EXPECT)], ids=["length 0", "no body"])
def test_without_a_body_there_is_no_invitation(peer: Peer, data: bytes) -> None:
    assert peer.send(data).reply().status == 200


def test_a_body_that_is_too_large_is_not_invited(peer: Peer) -> None:
    assert peer.send(post(b"", EXPECT, length=65_537)).reply().status == 413
    assert peer.rest() == b""


GOOD = "Authorization: good"
LONG = b"x" * 60_000


def test_a_long_body_needs_a_token(peer: Peer, serving: Serving) -> None:
    assert peer.send(post(LONG, GOOD)).reply().asked["body"] == LONG.decode()
    assert peer.send(post(LONG)).reply().status == 401
    assert peer.rest() == b""
    assert serving.mirror.handled == ["/"]


@pytest.mark.parametrize("length", [8_193, 60_000])
def test_a_long_body_that_arrives_with_its_headers_has_one_answer(peer: Peer, serving: Serving, length: int) -> None:
    serving.mirror.holds_tokens = True
    peer.send(post(b"x" * length) + SMUGGLED)
    wait_until(lambda: bool(serving.mirror._held))
    serving.release()
    assert peer.reply().status == 401
    assert peer.rest() == b""
    assert serving.mirror.handled == []


def test_an_invitation_waits_for_the_token(peer: Peer, serving: Serving) -> None:
    serving.mirror.holds_tokens = True
    peer.send(post(b"", EXPECT, GOOD, length=10_000))
    wait_until(lambda: bool(serving.mirror._held))
    serving.release()
    assert peer._file.read(len(CONTINUE)) == CONTINUE
    assert len(peer.send(b"x" * 10_000).reply().asked["body"]) == 10_000


def test_a_long_body_without_a_token_does_not_take_the_answer_from_an_earlier_request(
    peer: Peer, serving: Serving
) -> None:
    peer.send(get("/held") + post(b"x" * 9_000))
    wait_until(lambda: serving.mirror.handled == ["/held"])
    serving.release()
    assert [peer.reply().status for _ in range(2)] == [200, 401]
