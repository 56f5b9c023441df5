"""How dates are written: ``settings.FORMAT_MODULE_PATH``."""
