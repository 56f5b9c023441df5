"""The files for containers and Kubernetes, the proxy, and health checks of processes."""
