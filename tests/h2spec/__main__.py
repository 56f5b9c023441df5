"""Runs h2spec (https://github.com/summerwind/h2spec) against the gRPC interface of a gateway.

The exit status is 1 if a case fails, and 2 if h2spec cannot be built: that needs Go.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.doors.processes import gateway
from benchmarks.lines import BASE_DIR
from benchmarks.rules import publish, ruleset
from benchmarks.web.server import environment_of
from ratelimit_platform.embedded.redis import RedisServer
from tests.support.web import outer_environment

MODULE = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"
FOLDER = BASE_DIR / ".data" / "h2spec"


def main() -> int:
    """Builds h2spec, unless it is there, and runs all of its cases."""
    program = _executable()
    if program is None:
        print("h2spec cannot be built: go is not installed, or finds no module proxy.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="ratelimit-h2spec-") as folder:
        redis = RedisServer(Path(folder) / "redis").start()
        publish(redis.url, ruleset())
        try:
            with gateway(outer_environment() | environment_of(redis.url, Path(folder))) as served:
                command = (str(program), "--host", "127.0.0.1", "--port", str(served.grpc_port))
                return subprocess.run(command, check=False).returncode
        finally:
            redis.kill()


def _executable() -> Path | None:
    program, go = FOLDER / "h2spec", shutil.which("go")
    if not program.exists() and go is not None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        subprocess.run((go, "install", MODULE), env=os.environ | {"GOBIN": str(FOLDER)}, check=False)
    return program if program.exists() else None


if __name__ == "__main__":
    sys.exit(main())
