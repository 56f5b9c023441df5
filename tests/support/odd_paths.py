"""Folders whose names have spaces and characters with a meaning to shells and URLs."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ODD = "My #1 %2F?&;'(),*~=@: ümläut"


@contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that every user may enter: as root, PostgreSQL runs as another user. pytest closes its own
    to others whenever another run of it starts."""
    with tempfile.TemporaryDirectory(prefix="ratelimit-paths-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
