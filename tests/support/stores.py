"""Selection of the installed Redis or Valkey that is started."""

import os
from pathlib import Path


def path_with_store(executable: str, folder: Path) -> str:
    """A ``PATH`` on which this Redis or Valkey is found first, through a link in ``folder``."""
    folder.mkdir(exist_ok=True)
    # The name that is searched first.
    (folder / "valkey-server").symlink_to(Path(executable).resolve())
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
