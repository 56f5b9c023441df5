"""The HTTP API: takes requests, and answers with decisions and problem documents."""
