"""Training examples: what is rendered, and on which tokens the loss is taken."""

import json
import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
from perijove_platform.trainer.data import IGNORED, load_examples, tokenize
from perijove_platform.trainer.errors import TrainingError

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for call in m.tool_calls or [] %}[{{ call.function.arguments.city }}]{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
FORGETFUL = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{{ m.content.split('</think>')[-1] if not loop.last else m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class WordTokenizer:
    """Words, special words and spaces as tokens; the chat template by jinja, as transformers does it."""

    def __init__(self, template: str = CHATML) -> None:
        self._template = jinja2.Environment().from_string(template)
        self.words: list[str] = []

    def apply_chat_template(self, messages: Any, *, tools: Any, tokenize: bool, add_generation_prompt: bool) -> str:
        return self._template.render(messages=messages, tools=tools, add_generation_prompt=add_generation_prompt)

    def __call__(self, text: str, *, add_special_tokens: bool, return_offsets_mapping: bool) -> dict[str, Any]:
        matches = list(re.finditer(r"<\|\w+\|>|\w+|\s|[^\w\s]", text))
        self.words = [match[0] for match in matches]
        return {"input_ids": list(range(len(matches))), "offset_mapping": [match.span() for match in matches]}


def learnt(messages: list[dict[str, Any]], template: str = CHATML) -> str:
    tokenizer = WordTokenizer(template)
    example = tokenize(messages, tokenizer)
    return "".join(tokenizer.words[label] for label in example.labels if label != IGNORED)


def test_only_the_assistant_is_learnt_with_its_end() -> None:
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
        {"role": "assistant", "content": "four"},
    ]
    assert learnt(messages) == "two<|im_end|>four<|im_end|>"


def test_weight_zero_is_context() -> None:
    messages = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two", "weight": 0},
        {"role": "user", "content": "three"},
        {"role": "assistant", "content": "four", "weight": 1},
    ]
    assert learnt(messages) == "four<|im_end|>"
    assert learnt(messages[:2]) == ""


def test_a_template_that_forgets_reasoning_still_trains_the_last_turn() -> None:
    messages = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "hm</think>two"},
        {"role": "user", "content": "three"},
        {"role": "assistant", "content": "ah</think>four"},
    ]
    assert learnt(messages, FORGETFUL) == "ah</think>four<|im_end|>"


def test_parts_and_tool_calls() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": json.dumps({"city": "Rome"})}}
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    tokenizer = WordTokenizer()
    tokenize(messages, tokenizer)
    rendered = "<|im_start|>system\nab<|im_end|>\n<|im_start|>assistant\n[Rome]<|im_end|>\n"
    assert "".join(tokenizer.words) == rendered
    assert learnt(messages) == "[Rome]<|im_end|>"


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def example(answer: str, question: str = "q") -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def test_long_examples_are_cut_and_hopeless_ones_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "x", example("a"), example("b " * 50), "", example("c", question="q " * 50))
    found = load_examples(path, WordTokenizer(), max_length=20, param="training_file")
    assert (len(found.examples), found.cut, found.dropped) == (2, 2, 1)
    assert max(len(each.input_ids) for each in found.examples) == 20


@pytest.mark.parametrize(
    ("line", "says"),
    [("{", "Line 2 .* not valid JSON"), ("[1]", "Line 2 .* not a JSON object"), ({"prompt": "x"}, "Line 2 .*messages")],
)
def test_a_bad_line_is_named(tmp_path: Path, line: object, says: str) -> None:
    path = write(tmp_path / "x", example("a"), line)
    with pytest.raises(TrainingError, match=says) as raised:
        load_examples(path, WordTokenizer(), max_length=20, param="validation_file")
    assert raised.value.param == "validation_file"


def test_nothing_to_learn_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "x", {"messages": [{"role": "user", "content": "alone"}]})
    with pytest.raises(TrainingError, match="No line"):
        load_examples(path, WordTokenizer(), max_length=20, param="training_file")
