"""Hashing of passwords, which must not slow checks."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from limits.forking import renewed_when_forked

NICENESS = 19
"""The lowest priority: such a thread runs where nothing else wants the processor."""


class BackgroundPBKDF2PasswordHasher(PBKDF2PasswordHasher):
    """Django's own, with the same hashes, one at a time in each process and with the lowest priority: a hash takes
    some tenths of a second of a processor, on which checks are decided as well."""

    def encode(self, password: str, salt: Any, iterations: int | None = None) -> str:
        return _thread.executor.submit(super().encode, password, salt, iterations).result()


class _Thread:
    """One for each process."""

    def __init__(self) -> None:
        renewed_when_forked(self)

    def renew(self) -> None:
        self.executor = ThreadPoolExecutor(1, "password-hashing", initializer=_yield_to_others)


def _yield_to_others() -> None:
    # On Linux, priorities are those of threads.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


_thread = _Thread()
