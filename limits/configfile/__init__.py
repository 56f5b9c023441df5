"""The config file: the platform's rules and clients as YAML or JSON, applied all or nothing."""
