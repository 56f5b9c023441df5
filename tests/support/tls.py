"""Redis servers that require TLS and a password, with certificates made by the test."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import trustme
from redis import Redis

from ratelimit_platform.embedded.redis import RedisServer

PASSWORD = "p@ss/w:rd?#% $x"
"""Contains every special character of a URL."""


@dataclass(frozen=True)
class Certificates:
    """Certificate files of an authority, of a server at 127.0.0.1, and of a client."""

    authority: Path
    server: Path
    client: Path

    @property
    def client_options(self) -> str:
        """The options of a Redis URL for these certificates."""
        return f"ssl_ca_certs={self.authority}&ssl_certfile={self.client}&ssl_keyfile={self.client}"


def make_certificates(folder: Path) -> Certificates:
    authority = trustme.CA()
    files = Certificates(*(folder / f"{name}.pem" for name in ("authority", "server", "client")))
    authority.cert_pem.write_to_path(str(files.authority))
    authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(str(files.server))
    authority.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(str(files.client))
    return files


class TlsRedisServer(RedisServer):
    """A server that requires TLS, the password, and a client certificate."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        super().__init__(folder)
        self.certificates = certificates
        self._options = (
            *("--port", "0", "--tls-port", str(self.port), "--requirepass", PASSWORD, "--masterauth", PASSWORD),
            *("--tls-cert-file", str(certificates.server), "--tls-key-file", str(certificates.server)),
            *("--tls-ca-cert-file", str(certificates.authority), "--tls-replication", "yes"),
        )

    @property
    def url(self) -> str:
        return f"{self.url_without_options}?{self.certificates.client_options}"

    @property
    def url_without_options(self) -> str:
        return f"rediss://:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/0"

    @property
    def client(self) -> Redis:
        return Redis.from_url(self.url, socket_timeout=5)


class TlsSentinel(TlsRedisServer):
    """The only Sentinel of one master."""

    def __init__(self, folder: Path, master: TlsRedisServer) -> None:
        super().__init__(folder, master.certificates)
        self._master = master

    @property
    def sentinel_url(self) -> str:
        own = f"sentinel_password={quote(PASSWORD, safe='')}&{self.certificates.client_options}"
        return f"rediss+sentinel://:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/shop/0?{own}"

    def _command(self) -> list[str]:
        command = super()._command()
        file = self.folder / "sentinel.conf"
        lines = (
            f"sentinel monitor shop 127.0.0.1 {self._master.port} 1",
            f'sentinel auth-pass shop "{PASSWORD}"',
        )
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        # A Sentinel stores no data, and rejects options about persistence.
        options = [*command[1 : command.index("--save")], *self._options]
        return [command[0], str(file), "--sentinel", *options]
