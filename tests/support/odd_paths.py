"""Folders whose names contain spaces and special characters of shells and URLs."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ODD = "My #1 %2F?&;'(),*~=@: ümläut"


@contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that every user may enter, because under root PostgreSQL runs as another user. pytest makes its own
    folders inaccessible to others whenever another run starts."""
    with tempfile.TemporaryDirectory(prefix="ratelimit-paths-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
