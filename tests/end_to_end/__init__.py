"""Complete servers, used over HTTP like by a user."""
