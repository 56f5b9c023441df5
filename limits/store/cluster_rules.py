"""Publishing on a Cluster, where no transaction reaches all buckets.

The ruleset comes first, then the pointer, then the token of each bucket, in one pipeline for each
master. Where a publisher ends in between, or a master is away, some clients are decided by the old
rules until the rest follows.
"""

from limits.domain.ruleset import Version
from limits.store import scripts
from limits.store.cluster_client import ClusterClient
from limits.store.errors import PartlyPublished, is_outage
from limits.store.keys import Keys


def move_pointer(redis: ClusterClient, keys: Keys, current: Version | None, version: Version, data: bytes) -> bool:
    """Stores a ruleset and names it as the one in force. Returns False where another publisher
    was faster. Raises redis-py's errors."""
    redis.set(keys.ruleset(str(version)), data)
    source = scripts.load("move_pointer").source
    return bool(redis.eval(source, 1, keys.pointer, str(current or ""), str(version)))


def put_tokens(redis: ClusterClient, keys: Keys, version: Version) -> Version:
    """Puts a version in force on every bucket. Returns the latest one that is in force on one of
    them. Raises :class:`PartlyPublished` where some could not be reached, and redis-py's errors."""
    source = scripts.load("put_token").source
    pipeline = redis.pipeline()
    for bucket in keys.buckets:
        pipeline.eval(source, 1, bucket, str(version))
    answers = pipeline.execute(raise_on_error=False)
    errors = [answer for answer in answers if isinstance(answer, Exception)]
    for error in errors:
        if not is_outage(error):
            raise error
    if errors:
        raise PartlyPublished(
            f"Live for {len(answers) - len(errors)} of {len(answers)} parts of the clients: a master of the Cluster "
            "cannot be reached. The rest goes live by itself."
        ) from errors[0]
    return max((Version.parse(answer.decode()) for answer in answers), key=lambda found: found.sequence)
