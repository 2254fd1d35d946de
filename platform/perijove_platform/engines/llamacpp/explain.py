"""llama.cpp's log, as a reason that a person can act on."""

from __future__ import annotations

import re
from collections.abc import Sequence

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"not within the file bounds|corrupted or incomplete|unexpectedly reached end of file"),
        "the model file is truncated: fetch or copy it again",
    ),
    (re.compile(r"invalid magic|bad magic"), "the file is not a GGUF model"),
    (
        re.compile(r"unknown model architecture: '(?P<name>[^']*)'"),
        "the engine does not know the model's architecture '{name}': update xllamacpp or use another model",
    ),
    (
        re.compile(r"failed to allocate|unable to allocate|cannot allocate memory|std::bad_alloc|out of memory", re.I),
        "there is not enough memory for this model: unload other models, or use a smaller one or a shorter context",
    ),
    (
        re.compile(
            r"(failed to (load|apply|init).*lora|lora.*(failed|mismatch|incompatible)|adapter.*(arch|mismatch))", re.I
        ),
        "a LoRA adapter does not fit this base model: delete the fine-tuned model or register it with its own base",
    ),
    (re.compile(r"failed to open|No such file"), "the model file cannot be opened: it was moved or deleted"),
    (
        re.compile(r"unsupported model version|failed to read|key not found in model|missing tensor"),
        "the model file is not valid for this engine",
    ),
)
_NOISE = re.compile(r"^[\d.]+ [A-Z] +\S+ *|^\S+: ")


def explain(lines: Sequence[str]) -> str | None:
    """Why the engine could not start, from the last lines of its log; ``None`` when they do not tell."""
    for line in lines:
        for pattern, reason in _RULES:
            if found := pattern.search(line):
                return reason.format(**found.groupdict())
    errors = [line for line in lines if re.match(r"[\d.]+ E ", line)]
    return _NOISE.sub("", errors[0]).strip() if errors else None
