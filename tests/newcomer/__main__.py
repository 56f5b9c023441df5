"""``make newcomer``: the README's commands on new machines of several Debian releases.

``make newcomer SUITES=sid`` tries one of them; ``TESTS=0`` leaves out ``make test``. Needs root
privileges, ``debootstrap`` and Debian's packages.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.newcomer.root import Root
from tests.newcomer.visit import Failed, Visit
from tests.support.commands import CommandFailed

BASE_DIR = Path(__file__).resolve().parents[2]
SUITES = ("trixie", "sid")


def main() -> int:
    """Returns the number of machines on which a step failed."""
    if os.geteuid() or not shutil.which("debootstrap"):
        print("This needs root privileges and debootstrap: apt-get install debootstrap", file=sys.stderr)
        return 1
    suites = os.environ.get("SUITES", "").split() or SUITES
    with tempfile.TemporaryDirectory(prefix="newcomer-") as folder:
        bundle = Path(folder) / "platform.bundle"
        subprocess.run(["git", "bundle", "create", "--quiet", str(bundle), "HEAD"], cwd=BASE_DIR, check=True)
        return sum(not _welcomes(suite, Path(folder) / suite, bundle) for suite in suites)


def _welcomes(suite: str, folder: Path, bundle: Path) -> bool:
    packages, of_tests = packages_of_the_readme()
    print(f"\nDebian {suite} with {' '.join(packages)}", flush=True)
    root = Root(folder)
    try:
        root.install(suite, packages)
        visit = Visit(root, lambda line: print(line, flush=True))
        visit.clone(bundle)
        visit.run_and_ask()
        if os.environ.get("TESTS") != "0":
            visit.test(of_tests)
    except (Failed, CommandFailed) as error:
        print(f"Failed: {error}", flush=True)
        return False
    return True


def packages_of_the_readme() -> tuple[list[str], list[str]]:
    """The packages of the README's two ``apt-get install`` commands: for everything, and for the tests."""
    readme = (BASE_DIR / "README.md").read_text(encoding="utf-8")
    everything, tests = re.findall(r"`apt-get install ([a-z0-9 -]+)`", readme)
    return everything.split(), tests.split()


if __name__ == "__main__":
    sys.exit(main())
