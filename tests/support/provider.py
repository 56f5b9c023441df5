"""A real OpenID Connect provider: oidc-provider of npm, over TLS."""

import json
import os
import re
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from ratelimit_platform.embedded.redis import free_port
from tests.support.node import install
from tests.support.tls import make_certificates

FOLDER = Path(__file__).parents[1] / "sign_in" / "provider"
SECRET = "a secret of & this=site"
CALLBACK = "/admin/sign-in/callback/"
_FORM = re.compile(r'<form[^>]* action="([^"]+)"')


@dataclass
class Provider:
    """A running provider. ``people``: the file with subject → claims."""

    issuer: str
    authority: Path
    people: Path
    process: "subprocess.Popen[str]"

    def let_in(self, **people: dict[str, Any]) -> None:
        """Replaces all people. Each may sign in with any password."""
        self.people.write_text(json.dumps(people), encoding="utf-8")

    def variables(self, roles: str) -> dict[str, str]:
        """The environment of a platform that uses this provider."""
        return {
            "OIDC_ISSUER": self.issuer,
            "OIDC_NAME": "Example",
            "OIDC_CLIENT_ID": "limits",
            "OIDC_CLIENT_SECRET": SECRET,
            "OIDC_ROLES": roles,
            "REQUESTS_CA_BUNDLE": str(self.authority),
        }

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def running_provider(folder: Path) -> Iterator[Provider]:
    """A provider that already answers, and is stopped at the end of the block."""
    install(FOLDER)
    certificates = make_certificates(folder)
    issuer, people = f"https://localhost:{free_port()}", folder / "people.json"
    variables = {"ISSUER": issuer, "PEOPLE": str(people), "CERTIFICATE": str(certificates.server)}
    process = subprocess.Popen(
        ["node", "provider.mjs"],
        cwd=FOLDER,
        env=os.environ | variables | {"CLIENT_SECRET": SECRET},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    provider = Provider(issuer, certificates.authority, people, process)
    provider.let_in()
    try:
        assert process.stdout is not None
        assert next((line for line in process.stdout if line == "listening\n"), None), "The provider ended."
        yield provider
    finally:
        provider.stop()


def visitor(provider: Provider, platform: str) -> httpx.Client:
    """A browser without scripts, which trusts the certificate of the provider."""
    trusts = ssl.create_default_context(cafile=provider.authority)
    return httpx.Client(base_url=platform, verify=trusts, follow_redirects=True, timeout=30)


def sign_in(visitor: httpx.Client, subject: str, **query: str) -> httpx.Response:
    """Signs in as this person. Returns the page at the end."""
    return at_provider(visitor, visitor.get("/admin/sign-in/", params=query), subject)


def at_provider(visitor: httpx.Client, page: httpx.Response, subject: str) -> httpx.Response:
    """Fills in the login form of the provider, unless the provider knows the visitor."""
    if not (form := _FORM.search(page.text)) or "localhost" not in str(page.url):
        return page
    fields = {"prompt": "login", "login": subject, "password": "any"}
    return visitor.post(str(page.url.join(form[1])), data=fields)
