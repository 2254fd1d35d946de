"""Every scope that a route can name. A key holds a subset of them."""

from typing import Literal, get_args

Scope = Literal[
    "inference.use",
    "models.read",
    "models.write",
    "files.read",
    "files.write",
    "jobs.read",
    "jobs.write",
    "job_runs.write",
    "objects.signed",
    "vector_stores.read",
    "vector_stores.write",
    "events.read",
    "usage.read",
    "clusters.read",
    "clusters.write",
    "clusters.register",
    "sessions.use",
    "audit.read",
    "api_keys.read",
    "api_keys.write",
    "platform.read",
]

SCOPES: frozenset[Scope] = frozenset(get_args(Scope))
