"""``make containers``: the images of the compose file, built and run as described there."""
