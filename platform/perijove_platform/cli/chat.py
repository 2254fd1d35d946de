"""`perijove chat`."""

import json
import sys
from typing import Any

import click

from perijove_platform.cli.failures import Failed, Json
from perijove_platform.cli.session import Session, with_session
from perijove_platform.legible import legible

Messages = list[dict[str, str]]


@click.command("chat")
@click.argument("words", nargs=-1, metavar="[MODEL] [PROMPT]")
@click.option("--system", help="The system message.")
@click.option("--temperature", type=click.FloatRange(0, 2))
@click.option("--max-tokens", type=click.IntRange(1))
@with_session
def command(
    session: Session, words: tuple[str, ...], system: str | None, temperature: float | None, max_tokens: int | None
) -> None:
    """Talk to a model.

    Without MODEL, the first chat model. Without PROMPT, what is piped in, or else a conversation that ends at an empty
    line. A first word that names no model belongs to the prompt.
    """
    model, prompt = _model_and_prompt(session, list(words))
    if prompt is None and not sys.stdin.isatty():
        prompt = sys.stdin.read().strip()
        if not prompt:
            raise click.UsageError("There is no prompt: give it as an argument or on standard input.")
    if prompt is None and session.as_json:
        raise click.UsageError("--json gives one answer: give a prompt, as an argument or on standard input.")
    optional = {"temperature": temperature, "max_completion_tokens": max_tokens}
    request: Json = {"model": model, **{name: value for name, value in optional.items() if value is not None}}
    messages: Messages = [{"role": "system", "content": system}] if system else []
    if prompt is not None:
        messages.append({"role": "user", "content": prompt})
        _answer(session, request, messages)
        return
    click.echo(f"{model} – an empty line ends.", err=True)
    while line := _ask():
        messages.append({"role": "user", "content": line})
        messages.append({"role": "assistant", "content": _answer(session, request, messages)})


def _ask() -> str:
    try:
        return input("> ").strip()
    except (EOFError, KeyboardInterrupt):
        return ""


def _model_and_prompt(session: Session, words: list[str]) -> tuple[str, str | None]:
    models = [model for model in session.call("GET", "/v1/models")["data"] if model["kind"] == "chat"]
    names = {name for model in models for name in (model["id"], *model["aliases"])}
    if words and words[0] in names:
        return words[0], " ".join(words[1:]) or None
    if len(words) > 1 and " " not in words[0]:
        raise Failed(f"There is no chat model '{words[0]}'. `perijove models list` shows them; quote the prompt.")
    usable = [model["id"] for model in models if model["state"] in ("loaded", "loading", "available")]
    if not usable:
        raise Failed("There is no chat model yet. Pull one with `perijove models pull ORG/NAME`.")
    return usable[0], " ".join(words) or None


def _answer(session: Session, request: Json, messages: Messages) -> str:
    if session.as_json:
        completion = session.call("POST", "/v1/chat/completions", json={**request, "messages": messages})
        session.print_json(completion)
        return str(completion["choices"][0]["message"]["content"] or "")
    text = ""
    body = {**request, "messages": messages, "stream": True}
    with session.stream("POST", "/v1/chat/completions", json=body, timeout=600) as answer:
        for line in answer.iter_lines():
            if not line.startswith("data:") or line[5:].strip() == "[DONE]":
                continue
            chunk: dict[str, Any] = json.loads(line[5:])
            if "error" in chunk:
                click.echo()
                raise Failed(legible(str(chunk["error"]["message"])), body=chunk)
            piece = "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
            text += piece
            click.echo(legible(piece), nl=False)
    click.echo()
    return text
