"""The environment in which the peers are installed, kept for the next run."""

import subprocess
import sys
from pathlib import Path

from benchmarks.lines import BASE_DIR

FOLDER = BASE_DIR / ".data" / "bench-peers"
REQUIREMENTS = Path(__file__).parent / "requirements.txt"


def python() -> str:
    """The Python of the environment, which is created again if the requirements changed."""
    executable, installed = FOLDER / "bin" / "python", FOLDER / "installed.txt"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if not installed.exists() or installed.read_text(encoding="utf-8") != wanted:
        print("… installing the peers", file=sys.stderr, flush=True)
        _run(sys.executable, "-m", "venv", "--clear", str(FOLDER))
        _run(str(executable), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(REQUIREMENTS))
        _name_this_project(executable)
        installed.write_text(wanted, encoding="utf-8")
    return str(executable)


def _name_this_project(executable: Path) -> None:
    """Adds this project at the end of the path, so that ``limits`` is the peer's package and ``benchmarks`` ours."""
    packages = _run(str(executable), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(packages) / "benchmarks.pth").write_text(f"{BASE_DIR}\n", encoding="utf-8")


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
