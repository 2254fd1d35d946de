"""Completions (OpenAI's older route): several prompts, several choices each, and logprobs in their older form."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from perijove_platform.database import now
from perijove_platform.errors import BadRequest
from perijove_platform.ids import new_id
from perijove_platform.inference.chat import SEED_MASK, engine_sampling, usage_body
from perijove_platform.inference.choices import Choices, gather, interleave
from perijove_platform.inference.engine import COMPLETIONS, EngineSession
from perijove_platform.inference.schemas import CompletionRequest, refuse_obfuscation
from perijove_platform.inference.sse import DONE, frame

MAX_GENERATIONS = 32
DEFAULT_MAX_TOKENS = 16
"""As in OpenAI's API reference."""


def check(request: CompletionRequest) -> None:
    """Refuse what a schema cannot say.

    Raises:
        BadRequest: names the field.
    """
    refuse_obfuscation(request.stream_options)
    if request.stream_options is not None and not request.stream:
        raise BadRequest("'stream_options' needs 'stream': true.", param="stream_options")
    if request.suffix:
        raise BadRequest(
            "'suffix' is not supported: these models complete at the end only.",
            param="suffix",
            code="unsupported_parameter",
        )
    if request.best_of is not None and request.best_of != (request.n or 1):
        raise BadRequest(
            "'best_of' is not supported beyond 'n': ask for more choices with 'n'.",
            param="best_of",
            code="unsupported_parameter",
        )
    if request.echo and (request.logprobs is not None or isinstance(prompts_of(request)[0], list)):
        raise BadRequest(
            "'echo' is supported for prompts of text, without 'logprobs'.", param="echo", code="unsupported_parameter"
        )
    if len(prompts_of(request)) * (request.n or 1) > MAX_GENERATIONS:
        raise BadRequest(f"Prompts times 'n' must be at most {MAX_GENERATIONS}: send several requests.", param="n")


def prompts_of(request: CompletionRequest) -> list[str] | list[list[int]]:
    prompt: Any = request.prompt
    if isinstance(prompt, str) or isinstance(prompt[0], int):
        return [prompt]
    return list(prompt)


def choices_of(session: EngineSession, request: CompletionRequest) -> Choices:
    body = {"max_tokens": DEFAULT_MAX_TOKENS} | engine_sampling(request)
    if request.logprobs is not None:
        body["logprobs"] = max(1, request.logprobs)
    sources = []
    for prompt in prompts_of(request):
        for index in range(request.n or 1):
            seed = {} if request.seed is None else {"seed": (request.seed + index) & SEED_MASK}
            own = {**body, "prompt": prompt, **seed}
            sources.append(session.generate(COMPLETIONS, own, count_prompt=index == 0))
    return interleave(sources)


def echoes(request: CompletionRequest) -> list[str]:
    """What each choice's text begins with."""
    if not request.echo:
        return [""] * (len(prompts_of(request)) * (request.n or 1))
    return [str(prompt) for prompt in prompts_of(request) for _ in range(request.n or 1)]


def logprobs_body(entries: list[dict[str, Any]] | None, top: int | None, offset: int = 0) -> dict[str, Any] | None:
    """Parallel lists by token; `text_offset` counts characters of the choice's text."""
    if entries is None or top is None:
        return None
    offsets = []
    for entry in entries:
        offsets.append(offset)
        offset += len(entry["token"])
    best = [{other["token"]: other["logprob"] for other in entry["top_logprobs"][:top]} for entry in entries]
    return {
        "tokens": [entry["token"] for entry in entries],
        "token_logprobs": [entry["logprob"] for entry in entries],
        "top_logprobs": best if top else None,
        "text_offset": offsets,
    }


def _head(request: CompletionRequest) -> dict[str, Any]:
    return {"id": new_id("cmpl-"), "object": "text_completion", "created": now(), "model": request.model}


async def stream(session: EngineSession, request: CompletionRequest) -> AsyncGenerator[bytes]:
    """The answer as server-sent events."""
    head = _head(request)
    no_usage = {"usage": None} if request.include_usage else {}
    prefixes = echoes(request)
    offsets = [0] * len(prefixes)

    async with aclosing(choices_of(session, request)) as choices:
        async for index, delta in choices:
            text, prefixes[index] = prefixes[index] + delta.text, ""
            choice = {
                "index": index,
                "text": text,
                "logprobs": logprobs_body(delta.logprobs, request.logprobs, offsets[index]),
                "finish_reason": delta.finish_reason,
            }
            offsets[index] += len(text)
            yield frame({**head, "system_fingerprint": session.fingerprint, "choices": [choice], **no_usage})
    if request.include_usage:
        usage = usage_body(session.totals())
        yield frame({**head, "system_fingerprint": session.fingerprint, "choices": [], "usage": usage})
    yield DONE


async def complete(session: EngineSession, request: CompletionRequest) -> dict[str, Any]:
    """The answer in one piece."""
    prefixes = echoes(request)
    gathered = await gather(choices_of(session, request), len(prefixes))
    choices = [
        {
            "index": index,
            "text": prefix + choice.text,
            "logprobs": logprobs_body(choice.logprobs, request.logprobs),
            "finish_reason": choice.finish_reason,
        }
        for index, (prefix, choice) in enumerate(zip(prefixes, gathered, strict=True))
    ]
    usage = usage_body(session.totals())
    return {**_head(request), "choices": choices, "usage": usage, "system_fingerprint": session.fingerprint}
