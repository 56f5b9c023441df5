"""Whose rules the store holds: this database's, or those of another one."""

from limits.domain.ruleset import Version
from limits.models import Platform, Publication


class ForeignRules(Exception):
    """The store holds rules that this database does not know: those of another database, or of a
    later state of this one, from before a backup was restored."""

    def __init__(self, found: Version) -> None:
        self.found = found
        super().__init__(
            f"Redis holds version {found.sequence} of the rules, which this database does not know. "
            "If this database is to take its place, run: python manage.py publish_ruleset --take-over"
        )


def require_ours(found: Version) -> None:
    """Raises :class:`ForeignRules` where this database did not publish what the store holds."""
    published = Publication.objects.filter(sequence=found.sequence, epoch=found.epoch, digest=found.digest)
    if not published.filter(epoch__in=Platform.objects.values("epoch")).exists():
        raise ForeignRules(found)
