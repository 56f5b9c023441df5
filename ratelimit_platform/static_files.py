"""Collects static files."""

import hashlib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.core.files.storage import Storage
from whitenoise.storage import CompressedManifestStaticFilesStorage

DIGEST_FILE = "sources.sha256"

Sources = Mapping[str, tuple[Storage, str]]
"""The name of a collected file → the storage and path that it was copied from."""


class CollectedFiles(CompressedManifestStaticFilesStorage):
    """WhiteNoise's storage, which does nothing if no file has changed: otherwise it would hash and compress for
    four seconds at each start, and replace files while a server delivers them."""

    def post_process(
        self, paths: Sources, dry_run: bool = False, **options: Any
    ) -> Iterator[tuple[str, str | None, bool | Exception]]:
        """Yields for each processed file: its name, the name with the hash, and whether it is new, or the exception."""
        if dry_run:
            return
        digest_file, digest = Path(self.path(DIGEST_FILE)), _digest_of(paths)
        if digest_file.exists() and digest_file.read_text() == digest and self._is_complete():
            return
        digest_file.unlink(missing_ok=True)
        failed = False
        for name, hashed_name, processed in super().post_process(paths, dry_run, **options):
            failed = failed or isinstance(processed, Exception)
            yield name, hashed_name, processed
        if not failed:
            digest_file.write_text(digest)

    def _is_complete(self) -> bool:
        return bool(self.hashed_files) and all(self.exists(name) for pair in self.hashed_files.items() for name in pair)


def _digest_of(paths: Sources) -> str:
    """A digest of all contents, and of the versions of the packages that process them."""
    digest = hashlib.sha256(f"{version('django')} {version('whitenoise')}".encode())
    for name, (storage, path) in sorted(paths.items()):
        with storage.open(path) as file:
            content = hashlib.sha256(file.read()).hexdigest()
        digest.update(f"\n{content} {name}".encode())
    return digest.hexdigest()
