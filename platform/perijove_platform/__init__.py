"""The services of Perijove: one ASGI application made of managers."""

__version__ = "0.1.0"
