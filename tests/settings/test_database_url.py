"""``DATABASE_URL`` has the same meaning as in psycopg, including its query parameters."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import ConnectionHandler
from psycopg.conninfo import conninfo_to_dict

from ratelimit_platform.database import database
from tests.support.forked import run_forked
from tests.support.web import outer_environment

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
OURS = {"options": "-c statement_timeout=60000 -c lock_timeout=10000", "connect_timeout": "5"}


class WithoutTls:
    """A stand-in for a PostgreSQL server without TLS, which records what it receives."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.told: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client:
                client.settimeout(30)
                while data := client.recv(4096):
                    self.told.append(data)
                    # "N": no TLS; a client that continues unencrypted is then asked for a cleartext password.
                    client.sendall(b"N" if data == SSL_REQUEST else b"R\x00\x00\x00\x08\x00\x00\x00\x03")

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(30)


@pytest.fixture
def without_tls() -> Iterator[WithoutTls]:
    server = WithoutTls()
    yield server
    server.close()


@pytest.mark.parametrize("sslmode", ["require", "verify-ca", "verify-full"])
def test_no_data_are_sent_to_a_server_without_tls(without_tls: WithoutTls, sslmode: str, tmp_path: Path) -> None:
    url = f"postgresql://ann:secret@127.0.0.1:{without_tls.port}/shop?sslmode={sslmode}&sslrootcert={tmp_path}/ca.pem"
    environment = outer_environment() | {"DATABASE_URL": url}
    result = run_forked(["manage.py", "migrate", "--check"], environment)
    assert result.returncode != 0
    # If the certificates for the verification are missing, nothing at all is sent.
    assert set(without_tls.told) <= {SSL_REQUEST}
    assert "secret" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("url", "expected", "options"),
    [
        ("postgresql://ann:pw@h:6432/shop", {"HOST": "h", "PORT": "6432", "USER": "ann", "PASSWORD": "pw"}, {}),
        ("postgres://h/shop", {"HOST": "h", "PORT": "", "USER": ""}, {}),
        ("postgresql:///shop", {"HOST": "", "NAME": "shop"}, {}),
        ("postgresql://ann@h", {"NAME": "ann"}, {}),
        ("postgresql://h/my%20shop", {"NAME": "my shop"}, {}),
        ("postgresql://ann:p%40%2F%3A%3F%23%25@h/shop", {"PASSWORD": "p@/:?#%"}, {}),
        ("postgresql://ann:p+w#x?y@h/shop", {"PASSWORD": "p+w#x?y", "HOST": "h"}, {}),
        ("postgresql://[2001:db8::1]:6432/shop", {"HOST": "2001:db8::1", "PORT": "6432"}, {}),
        ("postgresql://a:1,b:2/shop?target_session_attrs=read-write", {"HOST": "a,b", "PORT": "1,2"},
         {"target_session_attrs": "read-write"}),
        ("postgresql://a,b/shop", {"HOST": "a,b", "PORT": ","}, {}),
        ("postgresql://postgres@%2Ftmp%2Fpg/shop", {"HOST": "/tmp/pg", "NAME": "shop"}, {}),
        ("postgresql:///shop?host=/tmp/pg%20x&port=6432&user=ann", {"HOST": "/tmp/pg x", "PORT": "6432"}, {}),
        ("postgresql://h/shop?sslmode=verify-full&sslrootcert=/ca.pem", {"HOST": "h"},
         {"sslmode": "verify-full", "sslrootcert": "/ca.pem"}),
        ("postgresql://h/shop?ssl=true", {"HOST": "h"}, {"sslmode": "require"}),
        ("postgresql://h/shop?sslcert=/c.pem&sslkey=/k.pem&sslpassword=a%26b", {"HOST": "h"},
         {"sslcert": "/c.pem", "sslkey": "/k.pem", "sslpassword": "a&b"}),
        ("postgresql://h/shop?connect_timeout=20", {"HOST": "h"}, {"connect_timeout": "20"}),
        ("postgresql://h/shop?options=-c%20search_path%3Dshop", {"HOST": "h"},
         {"options": OURS["options"] + " -c search_path=shop"}),
        ("postgresql://h/shop?application_name=limits&keepalives_idle=30", {"HOST": "h"},
         {"application_name": "limits", "keepalives_idle": "30"}),
        ("postgresql://h/shop?channel_binding=require&gssencmode=disable&require_auth=scram-sha-256", {"HOST": "h"},
         {"channel_binding": "require", "gssencmode": "disable", "require_auth": "scram-sha-256"}),
        ("postgresql://?service=shop", {"HOST": "", "NAME": ""}, {"service": "shop"}),
    ],
)  # fmt: skip
def test_every_part_of_the_url_is_used(
    url: str, expected: dict[str, str], options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGOPTIONS", "PGCONNECT_TIMEOUT", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    config = database(url)
    assert expected.items() <= config.items()
    assert config["OPTIONS"] == OURS | options
    assert connects_as_psycopg_would(url, config)


def connects_as_psycopg_would(url: str, config: dict[str, Any]) -> bool:
    """Whether Django connects with the parameters that psycopg reads from the URL, plus our own options."""
    parameters = ConnectionHandler({"default": config})["default"].get_connection_params()
    read = {name: str(value) for name, value in conninfo_to_dict(url).items() if name not in OURS}
    return {name: str(parameters.get(name)) for name in read} == read


def test_environment_variables_of_libpq_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c search_path=shop")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "30")
    monkeypatch.setenv("PGDATABASE", "shop")
    config = database("postgresql://h")
    assert config["NAME"] == "shop"
    assert config["OPTIONS"] == {"options": OURS["options"] + " -c search_path=shop", "connect_timeout": "30"}


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://h/shop", "does not begin with postgresql://"),
        ("secret", "does not begin with postgresql://"),
        ("postgresql://ann:secret/x@h/shop", "an @ in the wrong place"),
        ("postgresql://ann:12/secret@h/shop", "an @ in the wrong place"),
        ("postgresql://ann:x@secret@h/shop", "an @ in the wrong place"),
        ("postgresql://ann:x?y@secret@h/shop", "an @ in the wrong place"),
        ("postgresql://ann:%secret@h/shop", "is rejected by libpq"),
        ("postgresql://h/shop?sslmod=secret", "is rejected by libpq"),
        ("postgresql://h/shop?secret", "is rejected by libpq"),
        ("postgresql://h:secret/shop", "a port is not a number from 1 to 65535"),
        ("postgresql://h:99999/shop", "a port is not a number from 1 to 65535"),
        ("postgresql://a:1,b:secret/shop", "a port is not a number from 1 to 65535"),
    ],
)
def test_the_error_names_the_problem_without_parts_of_the_url(url: str, problem: str) -> None:
    with pytest.raises(ImproperlyConfigured) as error:
        database(url)
    assert problem in str(error.value)
    assert "secret" not in str(error.value)
