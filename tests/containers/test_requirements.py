"""``make containers`` on a machine with missing programs."""

import subprocess
import sys
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parents[2]


def test_missing_packages_are_reported_with_the_command_to_install_them(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.containers"],
        cwd=BASE_DIR, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert "apt-get install --no-install-recommends " in done.stderr
    assert {"podman", "buildah", "runc", "debootstrap"} <= set(done.stderr.split())
