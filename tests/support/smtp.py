"""A real SMTP server that records emails."""

import queue
import ssl
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from ratelimit_platform.embedded.redis import free_port

TIMEOUT = 60


class Mailbox:
    """The delivered emails, and the configured replies of the server."""

    def __init__(self, *, port: int | None = None, tls: ssl.SSLContext | None = None) -> None:
        """``tls``: accepts emails only after STARTTLS."""
        self._mails: queue.Queue[EmailMessage] = queue.Queue()
        self.answer = "250 OK"
        self.refused = ""
        self._controller = Controller(
            self, hostname="127.0.0.1", port=port or free_port(), tls_context=tls, require_starttls=tls is not None
        )

    @property
    def port(self) -> int:
        return int(self._controller.port)

    def start(self) -> "Mailbox":
        self._controller.start()
        return self

    def stop(self) -> None:
        self._controller.stop(no_assert=True)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address == self.refused:
            return "550 Nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answer.startswith("250"):
            content = envelope.content
            assert isinstance(content, bytes)
            mail = message_from_bytes(content, policy=policy.default)
            assert isinstance(mail, EmailMessage)
            self._mails.put(mail)
        return self.answer

    def next(self) -> EmailMessage:
        """Waits for the next email, and returns it."""
        return self._mails.get(timeout=TIMEOUT)

    @property
    def is_empty(self) -> bool:
        return self._mails.empty()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    mailbox = Mailbox().start()
    yield mailbox
    mailbox.stop()
