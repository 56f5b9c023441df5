"""Hashing of passwords, which must not slow checks."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher

NICENESS = 19
"""The lowest priority: such a thread runs where nothing else wants the processor."""


class BackgroundPBKDF2PasswordHasher(PBKDF2PasswordHasher):
    """Django's own, with the same hashes, one at a time in each process and with the lowest priority: a hash takes
    some tenths of a second of a processor, on which checks are decided as well."""

    def encode(self, password: str, salt: Any, iterations: int | None = None) -> str:
        return _thread(os.getpid()).submit(super().encode, password, salt, iterations).result()


@cache
def _thread(process: int) -> ThreadPoolExecutor:
    """One for each process: a thread does not live on in a child."""
    return ThreadPoolExecutor(1, "password-hashing", initializer=_yield_to_others)


def _yield_to_others() -> None:
    # On Linux, priorities are those of threads.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
