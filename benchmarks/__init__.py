"""The cost of the platform, compared with its floor and its peers."""
