"""The `perijove` command. Each group is a module of its own, imported only when it is used."""

from perijove_platform.cli.main import main

__all__ = ["main"]
