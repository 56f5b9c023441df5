"""What a caller asks."""

from typing import NamedTuple


class CheckRequest(NamedTuple):
    """One check: who, where and at what cost.

    The endpoint is named by its slug, or found by method and path; ``decoded``: a framework has
    decoded the path, and matches it as it is. ``cost`` None: the endpoint's.
    """

    client: str
    endpoint: str | None = None
    method: str | None = None
    path: str | None = None
    cost: int | None = None
    decoded: bool = False
