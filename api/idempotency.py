"""The header ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header): a request that is sent again is carried
out once.

Nothing is stored for a key: the name of the reservation or charge in the store follows from it.
"""

import re

from django.utils.crypto import salted_hmac
from rest_framework.request import Request

from api.authentication import token_of
from api.requests import invalid
from ratelimit_enforcer.domain.reservations import ID_SIZE

HEADER = "Idempotency-Key"
MAX_LENGTH = 255
_PLAIN = re.compile(rf'(?!")[!-~]{{1,{MAX_LENGTH}}}')
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_ESCAPED = re.compile(r"\\(.)")


def name_of(request: Request, kind: str, client: str) -> bytes | None:
    """The name for what a request reserves or charges for a client, 128 bits: the same for each request of this token
    and ``kind`` with the same key, on every server with the same ``SECRET_KEY``. None: the request has no key.

    Raises :class:`~api.problems.ProblemResponse` for an invalid key.
    """
    header = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if header is None:
        return None
    # No part contains a line feed.
    content = "\n".join((token_of(request).digest, kind, client, _parse(header)))
    return salted_hmac("api.idempotency", content, algorithm="sha256").digest()[:ID_SIZE]


def _parse(header: str) -> str:
    """The key, also if it is a string of RFC 9651 in quotes, as the draft prescribes."""
    if _PLAIN.fullmatch(header):
        return header
    quoted = _QUOTED.fullmatch(header)
    key = _ESCAPED.sub(r"\1", quoted[1]) if quoted else ""
    if not 1 <= len(key) <= MAX_LENGTH:
        raise invalid({HEADER: [f"must have 1 to {MAX_LENGTH} visible ASCII characters."]})
    return key
