"""ID tokens that must not be accepted."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.core.exceptions import SuspiciousOperation
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from pytest_django import Settings

from limits.admin.sign_in.backend import ProviderBackend
from limits.admin.sign_in.provider import Provider

ISSUER = "https://id.example.com"
RSA, OTHER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
EC = ec.generate_private_key(ec.SECP256R1())
SECRET = "the client's secret, which is long enough"


@pytest.fixture(scope="module")
def keys() -> Iterator[str]:
    """The address of the public keys."""
    published = [
        RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True) | {"kid": "r"},
        ECAlgorithm.to_jwk(EC.public_key(), as_dict=True) | {"kid": "e"},
    ]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": published}).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def backend(keys: str, settings: Settings) -> ProviderBackend:
    settings.SIGN_IN = {"CLIENT_ID": "limits", "CLIENT_SECRET": SECRET}
    backend = ProviderBackend()
    backend.provider = Provider(ISSUER, "", "", keys, "", "", basic=False)
    backend.OIDC_OP_JWKS_ENDPOINT = keys
    return backend


def token(algorithm: str = "RS256", key: Any = RSA, kid: str = "r", **changes: Any) -> str:
    # The tokens of a whole run are made when the tests are collected.
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": "ada", "aud": "limits", "exp": now + 86_400, "iat": now, "nonce": "n"} | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm, headers={"kid": kid})


@pytest.mark.parametrize("accepted", [token(), token("ES256", EC, "e"), token(aud=["limits"], azp="limits")])
def test_signatures_by_a_published_key_are_accepted(backend: ProviderBackend, accepted: str) -> None:
    assert backend.verify_token(accepted, nonce="n")["sub"] == "ada"


@pytest.mark.parametrize(
    "rejected",
    [
        token("none", None),
        token("HS256", SECRET),
        token(key=OTHER),
        token(kid="unknown"),
        token("RS512"),
        token(iss="https://id.example.org"),
        token(aud="another"),
        token(aud=["limits", "another"], azp="another"),
        token(exp=int(time.time()) - 100),
        token(exp=None),
        token(iat=int(time.time()) + 43_200),
        token(nonce=None),
        token(nonce="another"),
        token(nonce=""),
        token().rpartition(".")[0] + ".",
        "no token",
    ],
    ids=range(16),
)
def test_all_other_tokens_are_rejected(backend: ProviderBackend, rejected: str) -> None:
    with pytest.raises((jwt.PyJWTError, SuspiciousOperation)):
        backend.verify_token(rejected, nonce="n")


def test_without_a_nonce_of_this_sign_in_nothing_is_accepted(backend: ProviderBackend) -> None:
    with pytest.raises(SuspiciousOperation):
        backend.verify_token(token(nonce=""))
