"""Programs that serve one model over HTTP, each in a process of its own; see ``docs/developers/engines.md``."""
