"""The interfaces for other programs, compared with each other and with envoyproxy/ratelimit: answers per second and
processor time for each answer, under load from wrk and h2load."""
