"""What Prometheus reads: how this server decides, and how the platform behind it is."""
