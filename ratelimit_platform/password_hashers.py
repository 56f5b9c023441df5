"""Hashes passwords without slowing down checks."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from ratelimit_enforcer.per_process import renew_after_fork

NICENESS = 19
"""The lowest priority: such a thread runs only if nothing else needs the processor."""


class BackgroundPBKDF2PasswordHasher(PBKDF2PasswordHasher):
    """Django's hasher with the same hashes, but one at a time in each process and at the lowest priority: a hash
    takes some tenths of a second of processor time, which checks need as well."""

    def encode(self, password: str, salt: Any, iterations: int | None = None) -> str:
        return _thread.executor.submit(super().encode, password, salt, iterations).result()


class _HashingThread:
    """The hashing thread; one per process."""

    def __init__(self) -> None:
        renew_after_fork(self)

    def renew(self) -> None:
        self.executor = ThreadPoolExecutor(1, "password-hashing", initializer=_lower_priority)


def _lower_priority() -> None:
    # On Linux, each thread has its own priority.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


_thread = _HashingThread()
