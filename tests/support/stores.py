"""Which of this machine's stores is started."""

import os
from pathlib import Path


def path_with_store(executable: str, folder: Path) -> str:
    """A ``PATH`` on which this Redis or Valkey is found first, by way of a link in ``folder``."""
    folder.mkdir(exist_ok=True)
    # The name that is looked for first.
    (folder / "valkey-server").symlink_to(Path(executable).resolve())
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
