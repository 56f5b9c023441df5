"""Folders whose names have spaces and characters with a meaning to shells and URLs."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ODD = "My #1 %2F?&;'(),*~=@: ümläut"


@contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that every user may enter: as root, PostgreSQL runs as another user. pytest closes its own
    to others whenever another run of it starts."""
    folder = Path(tempfile.mkdtemp(prefix="ratelimit-paths-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
