"""gRPC over HTTP/2: a real client of gRPC, hostile peers, and arbitrary bytes."""
