"""The files of containers and of Kubernetes, the proxy in front, and health checks of processes."""
