"""From OpenAI's chat-format JSONL to token ids and the labels that the loss is taken on."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perijove_platform.trainer.errors import TrainingError

IGNORED = -100
"""The label that PyTorch's cross entropy leaves out."""

Message = dict[str, Any]


@dataclass(frozen=True)
class Example:
    """Token ids and, of equal length, labels: the id where the model is to learn it, else `IGNORED`."""

    input_ids: list[int]
    labels: list[int]


@dataclass(frozen=True)
class Examples:
    """The usable examples of a file.

    Attributes:
        cut: how many were longer than the maximum length and have been cut.
        dropped: how many have nothing left to learn after the cut.
    """

    examples: list[Example]
    cut: int
    dropped: int

    @property
    def tokens(self) -> int:
        return sum(len(example.input_ids) for example in self.examples)


def load_examples(path: Path, tokenizer: Any, *, max_length: int, param: str) -> Examples:
    """Read and tokenize a file.

    Args:
        tokenizer: a fast tokenizer of transformers, with a chat template.
        param: the request field that named this file, for errors.

    Raises:
        TrainingError: a line cannot be used, or no line has anything to learn.
    """
    examples: list[Example] = []
    cut = dropped = 0
    for number, record in _records(path, param):
        try:
            example = tokenize(record["messages"], tokenizer, tools=record.get("tools"))
        except (KeyError, TypeError, ValueError) as error:
            message = f"Line {number} of the file cannot be turned into a training example: {error}."
            raise TrainingError(message, code="invalid_file", param=param) from error
        if len(example.input_ids) > max_length:
            cut += 1
            example = Example(example.input_ids[:max_length], example.labels[:max_length])
        if all(label == IGNORED for label in example.labels):
            dropped += 1
        else:
            examples.append(example)
    if not examples:
        message = (
            f"No line of the file has an assistant message to learn within the first {max_length} tokens. "
            "Give each line an assistant message, and shorten what comes before it."
        )
        raise TrainingError(message, code="invalid_file", param=param)
    return Examples(examples, cut, dropped)


def tokenize(messages: list[Message], tokenizer: Any, tools: list[Any] | None = None) -> Example:
    """Render by the model's chat template; labels are set on the assistant's messages only.

    An assistant message with ``"weight": 0`` is context, as in OpenAI's format. The span of a message is what the
    template adds when the message is added, from behind the generation prompt; a template that renders earlier turns
    differently later (some drop reasoning) yields labels on the last message only.
    """
    prepared = [_for_template(message) for message in messages]
    text = _render(tokenizer, prepared, tools)
    spans: list[tuple[int, int]] = []
    for index, message in enumerate(messages):
        if message["role"] != "assistant" or message.get("weight", 1) == 0:
            continue
        prompt = _render(tokenizer, prepared[:index], tools, add_generation_prompt=True)
        upto = _render(tokenizer, prepared[: index + 1], tools)
        if text.startswith(upto) and upto.startswith(prompt):
            spans.append((len(prompt), len(upto.rstrip())))
    last = messages[-1]
    if not spans and last["role"] == "assistant" and last.get("weight", 1) != 0:
        spans.append((_common_prefix(_render(tokenizer, prepared[:-1], tools), text), len(text.rstrip())))
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids: list[int] = encoded["input_ids"]
    offsets: list[tuple[int, int]] = encoded["offset_mapping"]
    labels = [
        token if any(start <= begin < end for start, end in spans) else IGNORED
        for token, (begin, _) in zip(ids, offsets, strict=True)
    ]
    return Example(ids, labels)


def _records(path: Path, param: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                message = f"Line {number} of the file is not valid JSON: {error}."
                raise TrainingError(message, code="invalid_file", param=param) from error
            if not isinstance(record, dict):
                message = f"Line {number} of the file is not a JSON object."
                raise TrainingError(message, code="invalid_file", param=param)
            yield number, record


def _render(
    tokenizer: Any, messages: list[Message], tools: list[Any] | None, *, add_generation_prompt: bool = False
) -> str:
    if not messages and not add_generation_prompt:
        return ""
    rendered = tokenizer.apply_chat_template(
        messages, tools=tools, tokenize=False, add_generation_prompt=add_generation_prompt
    )
    assert isinstance(rendered, str)
    return rendered


def _for_template(message: Message) -> Message:
    """A message as chat templates expect it: text content, tool arguments as objects."""
    prepared = {key: value for key, value in message.items() if key != "weight"}
    content = prepared.get("content")
    if isinstance(content, list):
        prepared["content"] = "".join(part["text"] for part in content if part.get("type") == "text")
    elif content is None:
        prepared["content"] = ""
    if prepared["role"] == "developer":
        prepared["role"] = "system"
    calls = prepared.get("tool_calls")
    if calls:
        prepared["tool_calls"] = [{**call, "function": _decoded(call["function"])} for call in calls]
    return prepared


def _decoded(function: dict[str, Any]) -> dict[str, Any]:
    arguments = function.get("arguments")
    return {**function, "arguments": json.loads(arguments)} if isinstance(arguments, str) else function


def _common_prefix(left: str, right: str) -> int:
    for index, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return index
    return min(len(left), len(right))
