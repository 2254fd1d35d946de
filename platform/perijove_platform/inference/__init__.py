"""The data path: OpenAI's inference routes, forwarded to engines. Imports no manager; see `catalog`."""
