"""The HTTP/2 conformance test h2spec against a gateway (`make h2spec`)."""
