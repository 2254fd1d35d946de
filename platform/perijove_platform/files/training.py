"""Validation of training files: JSON Lines in OpenAI's chat format ("Supervised fine-tuning", "Formatting your data").

Line by line, in bounded memory; it blocks, so it runs in a thread.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perijove_platform.files.chat_example import Fault, check_example, texts_of
from perijove_platform.files.preview import raw_lines
from perijove_platform.files.schemas import Problem

MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_ERRORS = 100
FEW_EXAMPLES = 10
CHARACTERS_PER_TOKEN = 4
"""OpenAI's rule of thumb for English ("What are tokens and how to count them")."""
TokenCounter = Callable[[str], int]


@dataclass
class Findings:
    """What a validation found. `tokens` is of the good examples; `errors` holds the first of `error_count`."""

    lines: int = 0
    examples: int = 0
    tokens: int = 0
    errors: list[Problem] = field(default_factory=list)
    error_count: int = 0
    warnings: list[Problem] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        return self.error_count == 0

    def fault(self, line: int, message: str, param: str | None = None) -> None:
        self.error_count += 1
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(Problem(line=line, message=message, param=param))


class Stopped(Exception):
    """Nobody waits for the result any more."""


def validate_training_file(
    path: Path, *, max_tokens: int, count_tokens: TokenCounter | None = None, stop: threading.Event | None = None
) -> Findings:
    """Every line of the file against the format.

    Args:
        max_tokens: the longest example that can be trained on.
        count_tokens: of the base model; without it, tokens are estimated as a quarter of the characters.
        stop: set to end early, by `Stopped`.
    """
    findings = Findings()
    empty = 0
    with path.open("rb", buffering=1024 * 1024) as file:
        for raw in raw_lines(file, max_bytes=MAX_LINE_BYTES):
            if stop is not None and stop.is_set():
                raise Stopped
            findings.lines = raw.number
            if raw.cut:
                message = f"The line is longer than {MAX_LINE_BYTES:,} bytes. Split this example into shorter ones."
                findings.fault(raw.number, message)
                continue
            content = raw.content.removeprefix(b"\xef\xbb\xbf") if raw.number == 1 else raw.content
            if not content.strip():
                empty += 1
                continue
            _check_line(findings, raw.number, content, max_tokens, count_tokens)
    if not findings.examples and not findings.error_count:
        findings.fault(0, "The file has no examples. Write one JSON object with 'messages' on each line.")
    elif findings.examples < FEW_EXAMPLES:
        message = f"Good examples: {findings.examples}. A result worth having needs {FEW_EXAMPLES} or more."
        findings.warnings.append(Problem(line=0, message=message))
    if empty:
        findings.warnings.append(Problem(line=0, message=f"Empty lines, which are skipped: {empty}."))
    return findings


def _check_line(
    findings: Findings, number: int, content: bytes, max_tokens: int, count_tokens: TokenCounter | None
) -> None:
    try:
        example = _parse(content)
        check_example(example)
    except Fault as fault:
        findings.fault(number, fault.message, fault.param)
        return
    text = "\n".join(texts_of(example))
    tokens = count_tokens(text) if count_tokens else -(-len(text) // CHARACTERS_PER_TOKEN)
    if tokens > max_tokens:
        about = "" if count_tokens else f"about {tokens:,} tokens (estimated from {len(text):,} characters)"
        found = about or f"{tokens:,} tokens"
        findings.fault(number, f"The example has {found}; the limit is {max_tokens:,} tokens. Shorten or split it.")
        return
    findings.examples += 1
    findings.tokens += tokens


def _parse(content: bytes) -> Any:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise Fault(f"The line is not UTF-8 (byte {error.start + 1}). Save the file as UTF-8.") from None
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise Fault(f"The line is not valid JSON: {error.msg} at character {error.pos + 1}.") from None
    except RecursionError:
        raise Fault("The line is nested too deeply.") from None
    except ValueError as error:
        raise Fault(f"The line is not valid JSON: {error}.") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")
