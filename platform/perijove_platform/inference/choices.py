"""Several generations as one answer: interleaved while they stream, gathered when they do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from perijove_platform.inference.engine import Delta

Choices = AsyncGenerator[tuple[int, Delta]]


@dataclass(slots=True)
class Gathered:
    """One choice in full."""

    text: str = ""
    reasoning: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    logprobs: list[dict[str, Any]] | None = None
    finish_reason: str = "stop"

    def add(self, delta: Delta) -> None:
        self.text += delta.text
        self.reasoning += delta.reasoning
        self.finish_reason = delta.finish_reason or self.finish_reason
        if delta.logprobs:
            self.logprobs = (self.logprobs or []) + delta.logprobs
        for call in delta.tool_calls or ():
            self._add_call(call)

    def _add_call(self, call: dict[str, Any]) -> None:
        index = call.get("index", 0)
        while len(self.tool_calls) <= index:
            self.tool_calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        into, function = self.tool_calls[index], call.get("function") or {}
        into["id"] = call.get("id") or into["id"]
        into["function"]["name"] += function.get("name") or ""
        into["function"]["arguments"] += function.get("arguments") or ""


async def interleave(sources: Sequence[AsyncGenerator[Delta]]) -> Choices:
    """The deltas of all sources as they come, each with its source's number; the first failure ends all."""
    if len(sources) == 1:
        async with aclosing(sources[0]) as source:
            async for delta in source:
                yield 0, delta
        return
    queue: asyncio.Queue[tuple[int, Delta | None]] = asyncio.Queue(maxsize=2 * len(sources))

    async def drain(index: int, source: AsyncGenerator[Delta]) -> None:
        async with aclosing(source):
            async for delta in source:
                await queue.put((index, delta))
        await queue.put((index, None))

    tasks = [asyncio.create_task(drain(index, source)) for index, source in enumerate(sources)]
    try:
        async for item in _until_ended(queue, tasks):
            yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until_ended(queue: asyncio.Queue[tuple[int, Delta | None]], tasks: list[asyncio.Task[None]]) -> Choices:
    open_sources = len(tasks)
    while open_sources:
        getting = asyncio.ensure_future(queue.get())
        try:
            await asyncio.wait({getting, *(task for task in tasks if not task.done())}, return_when="FIRST_COMPLETED")
            for task in tasks:
                if task.done():
                    task.result()
            if not getting.done():
                continue
            index, delta = getting.result()
        finally:
            if not getting.done():
                getting.cancel()
        if delta is None:
            open_sources -= 1
        else:
            yield index, delta


async def gather(choices: Choices, number: int) -> list[Gathered]:
    gathered = [Gathered() for _ in range(number)]
    async with aclosing(choices):
        async for index, delta in choices:
            gathered[index].add(delta)
    return gathered
