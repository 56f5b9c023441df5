"""How many files, and so connections, a process may have open."""

import resource

WANTED = 65_536


def raise_file_limit() -> None:
    """Raises the soft limit towards the hard one: it is often 1,024, so that as many idle connections stop a server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
