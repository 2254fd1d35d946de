"""The platform behind a running JupyterLab, reached as the panels reach it, and Lab's commands."""

import json
import urllib.request
import uuid
from collections.abc import Iterable
from typing import Any

from lab_in_browser import TOKEN, Lab
from playwright.sync_api import Locator, Page

CHAT_MODEL = "SmolLM2-135M-Instruct"
READY_MS = 120_000
"""Longest wait for what loads a model or starts a trainer."""


def call(lab: Lab, path: str, body: Any = None, *, method: str | None = None) -> Any:
    """Send a request to the platform; returns its JSON."""
    data = None if body is None else json.dumps(body).encode()
    return _send(lab, path, data, "application/json", method)


def upload(lab: Lab, filename: str, content: str, purpose: str = "assistants") -> str:
    """Upload a file; returns its id."""
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n--{boundary}\r\n'
    head += f'Content-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
    data = f"{head}{content}\r\n--{boundary}--\r\n".encode()
    made = _send(lab, "/v1/files", data, f"multipart/form-data; boundary={boundary}", "POST")
    file_id: str = made["id"]
    return file_id


def _send(lab: Lab, path: str, data: bytes | None, content_type: str, method: str | None) -> Any:
    headers = {"Authorization": f"token {TOKEN}", "Content-Type": content_type}
    url = f"{lab.base_url}perijove/api{path}"
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=60) as response:
        return json.load(response)


def training_data(pairs: Iterable[tuple[str, str]]) -> str:
    """Questions and answers as the lines of a training file."""
    return "".join(
        json.dumps({"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}) + "\n"
        for asked, said in pairs
    )


def execute(page: Page, command: str, **args: Any) -> None:
    """Run a command of Lab as the palette would; does not wait for its end, which may be a dialog's."""
    page.wait_for_function("command => window.jupyterapp.commands.hasCommand(command)", arg=command)
    page.evaluate("([command, args]) => void window.jupyterapp.commands.execute(command, args)", [command, args])


def shown(page: Page, css: str) -> Locator:
    """The element of the tab in front."""
    return page.locator(f"{css}:visible")


def ask(page: Page, question: str) -> None:
    """Put a question into the chat in front."""
    field = shown(page, ".jp-PerijoveChat-composer textarea")
    field.fill(question)
    field.press("Enter")
