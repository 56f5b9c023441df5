"""Imports the libraries once, then runs each command in a fork: ``python -m tests.support.fork_server DESCRIPTOR``.

The project's modules, including the settings, are imported by each command separately.
:mod:`tests.support.forked` is the client.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIBRARIES = (
    *(
        "celery.app.control",
        "celery.apps.beat",
        "celery.apps.worker",
        "celery.bin.celery",
        "celery.concurrency.prefork",
    ),
    *("django.contrib.admindocs.views", "django.contrib.postgres.apps", "django.core.management.commands.migrate"),
    *("django.db.backends.postgresql.base", "django.template.loaders.app_directories", "django_redis.cache"),
    *("drf_spectacular.utils", "environs", "granian.server", "jsonschema", "kombu.transport.redis", "orjson", "psutil"),
    *("rest_framework.authentication", "simple_history.middleware", "structlog", "whitenoise.middleware"),
)
"""Libraries that the platform imports, and that read neither settings nor environment when imported."""

MOST = 200_000
"""Maximum size of a request in bytes."""


def main() -> Callable[[], object]:
    """Serves requests until the tests end. In a fork, returns the command to run."""
    server = socket.socket(fileno=int(sys.argv[1]))
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()
    while True:
        request, descriptors, _, _ = socket.recv_fds(server, MOST, 3)
        _reap()
        if not request:
            sys.exit()
        if os.fork() == 0:
            server.close()
            return _watched(json.loads(request), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _watched(request: dict[str, Any], answers: int, output: int, errors: int) -> Callable[[], object]:
    """Forks again: the parent sends the child's process id and later its exit status, the child returns the command."""
    if child := os.fork():
        os.close(output)
        os.close(errors)
        os.write(answers, str(child).encode())
        _, status = os.waitpid(child, 0)
        os.write(answers, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    os.close(answers)
    return _command(request, output, errors)


def _command(request: dict[str, Any], output: int, errors: int) -> Callable[[], object]:
    """The program that ``python`` runs with these arguments, in this folder and environment."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(os.devnull) as nothing:
        for source, target in ((nothing.fileno(), 0), (output, 1), (errors, 2)):
            os.dup2(source, target)
    os.close(output)
    os.close(errors)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    if action := os.environ.get("PYTHONWARNINGS"):
        warnings.simplefilter(action)  # type: ignore[arg-type]
    return _program(*request["arguments"])


def _program(first: str, *others: str) -> Callable[[], object]:
    sys.path[0] = ""
    sys.path[1:1] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    if first == "-c":
        program, *sys.argv[1:] = others
        sys.argv[0] = first
        module = sys.modules["__main__"] = types.ModuleType("__main__")
        return lambda: exec(program, vars(module))
    if first == "-m":
        sys.argv = [*others]
        return lambda: runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    sys.argv = [first, *others]
    sys.path[0] = str(Path(first).resolve().parent)
    return lambda: runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    # Outside any function, so the interpreter ends afterwards as after any program.
    main()()
