"""Errors of the pass-through, in OpenAI's envelope as the platform's own."""

import json


def envelope(message: str, *, code: str, server_error: bool) -> str:
    """The body of an error answer.

    ``message`` stands beside the envelope too, where Jupyter's own clients look for it.
    """
    kind = "server_error" if server_error else "invalid_request_error"
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}, "message": message})
