"""Vector stores: documents made searchable by meaning, with OpenAI's API."""
