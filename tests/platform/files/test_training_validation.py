"""What can be trained on, and what is said about the rest."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from perijove_platform.files.training import MAX_LINE_BYTES, Findings, validate_training_file

USER = {"role": "user", "content": "What is Io?"}
ANSWER = {"role": "assistant", "content": "A moon of Jupiter."}
SYSTEM = {"role": "system", "content": "Be brief."}
CALL = {
    "role": "assistant",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "Io"}'}}],
}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "a moon"}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {}}}]


def check(tmp_path: Path, content: bytes, **options: Any) -> Findings:
    path = tmp_path / "train.jsonl"
    path.write_bytes(content)
    return validate_training_file(path, **{"max_tokens": 8192, **options})


def line(*messages: object, **more: object) -> bytes:
    return json.dumps({"messages": list(messages), **more}, ensure_ascii=False).encode() + b"\n"


@pytest.mark.parametrize(
    "content",
    [
        line(USER, ANSWER),
        line(SYSTEM, USER, ANSWER, USER, ANSWER),
        line({"role": "developer", "content": "Be brief."}, USER, ANSWER),
        line(USER, CALL, RESULT, ANSWER, tools=TOOLS),
        line(USER, {**ANSWER, "weight": 0}, USER, {**ANSWER, "weight": 1}),
        line(USER, {"role": "assistant", "content": [{"type": "text", "text": "A moon."}]}),
        line(USER, ANSWER).replace(b"\n", b"\r\n") * 2,
        b"\xef\xbb\xbf" + line(USER, ANSWER),
        line(USER, ANSWER).rstrip(),
        line({**USER, "content": "Где 🦊?"}, ANSWER),
    ],
)
def test_good_lines(tmp_path: Path, content: bytes) -> None:
    findings = check(tmp_path, content)
    assert findings.errors == []
    assert findings.valid
    assert findings.examples == findings.lines >= 1
    assert findings.tokens > 0


@pytest.mark.parametrize(
    ("content", "says", "param"),
    [
        (b'{"messages": [\n', "not valid JSON", None),
        (b"not json\n", "not valid JSON: Expecting value at character 1", None),
        (b'{"messages": NaN}\n', "NaN", None),
        (b"\xff\xfe\n", "not UTF-8", None),
        (b"[" * 100_000 + b"\n", "nested too deeply", None),
        (b"[1, 2]\n", "a list, not a JSON object", None),
        (b"{}\n", "'messages' is missing", "messages"),
        (b'{"prompt": "a", "completion": "b"}\n', "completions format", "messages"),
        (b'{"messages": []}\n', "at least one message", "messages"),
        (line(USER, ANSWER, color=1), "'color'", "color"),
        (line("hello", ANSWER), "a string, not an object", "messages[0]"),
        (line({"content": "x"}, ANSWER), "has no 'role'", "messages[0].role"),
        (line({**USER, "role": "human"}, ANSWER), '"human"', "messages[0].role"),
        (line({"role": "user"}, ANSWER), "no 'content'", "messages[0].content"),
        (line({**USER, "content": 7}, ANSWER), "a number", "messages[0].content"),
        (line({**USER, "content": "  "}, ANSWER), "is empty", "messages[0].content"),
        (line({**USER, "content": []}, ANSWER), "empty list", "messages[0].content"),
        (
            line({**USER, "content": [{"type": "image_url", "image_url": {}}]}, ANSWER),
            "only text",
            "messages[0].content[0]",
        ),
        (line({**USER, "mood": "good"}, ANSWER), "'mood'", "messages[0].mood"),
        (line({**USER, "weight": 1}, ANSWER), "weight", "messages[0].weight"),
        (line(USER, {**ANSWER, "weight": 0}), "nothing to learn", "messages"),
        (line(USER), "last message", "messages"),
        (line(ANSWER, USER, ANSWER), "before any user message", "messages[0].role"),
        (line(USER, USER, ANSWER), "second user message", "messages[1].role"),
        (line(USER, ANSWER, ANSWER), "second assistant message", "messages[2].role"),
        (line(USER, SYSTEM, ANSWER), "only come first", "messages[1].role"),
        (line(USER, RESULT, ANSWER), "no tool call", "messages[1].tool_call_id"),
        (line(USER, CALL, ANSWER), "before the answer", "messages[2].role"),
        (line(USER, CALL), "last message", "messages"),
        (line({**CALL, "role": "user"}, ANSWER), "only an assistant", "messages[0].tool_calls"),
        (line(USER, {"role": "assistant", "tool_calls": [{"id": "c"}]}), "'function'", "messages[1].tool_calls[0]"),
        (
            line(USER, {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "x"}}]}),
            "JSON object",
            "messages[1].tool_calls[0].function.arguments",
        ),
        (line(USER, ANSWER, tools=[{}]), "tools[0]", "tools[0]"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, content: bytes, says: str, param: str | None) -> None:
    findings = check(tmp_path, line(USER, ANSWER) + content + line(USER, ANSWER))
    [problem] = findings.errors
    assert problem.line == 2
    assert says in problem.message
    assert problem.param == param
    assert (findings.lines, findings.examples, findings.valid) == (3, 2, False)


def test_long_examples_say_over_which_limit(tmp_path: Path) -> None:
    long = line({**USER, "content": "word " * 10_000}, ANSWER)
    [problem] = check(tmp_path, line(USER, ANSWER) + long).errors
    assert problem.line == 2
    assert "limit is 8,192 tokens" in problem.message
    assert "estimated from 50,0" in problem.message
    [counted] = check(tmp_path, long, count_tokens=lambda text: len(text.split())).errors
    assert "has 10,004 tokens" in counted.message
    assert check(tmp_path, long, max_tokens=20_000).valid


def test_endless_lines_are_never_held(tmp_path: Path) -> None:
    findings = check(tmp_path, b"x" * (3 * MAX_LINE_BYTES) + b"\n" + line(USER, ANSWER))
    assert [(problem.line, "longer than 4,194,304" in problem.message) for problem in findings.errors] == [(1, True)]
    assert findings.lines == 2
    assert findings.examples == 1


def test_files_without_examples(tmp_path: Path) -> None:
    for content in (b"", b"\n\n", b"\xef\xbb\xbf"):
        [problem] = check(tmp_path, content).errors
        assert problem.line == 0
        assert "no examples" in problem.message


def test_few_examples_are_a_warning(tmp_path: Path) -> None:
    findings = check(tmp_path, line(USER, ANSWER) * 3 + b"\n")
    assert findings.valid
    assert [warning.message for warning in findings.warnings] == [
        "Good examples: 3. A result worth having needs 10 or more.",
        "Empty lines, which are skipped: 1.",
    ]
    assert check(tmp_path, line(USER, ANSWER) * 10).warnings == []


async def test_over_http(client: httpx.AsyncClient, upload: Any) -> None:
    file = await upload("train.jsonl", line(USER, ANSWER) * 2 + b"broken\n" * 150)
    url = f"/v1/files/{file['id']}/validation"
    result = (await client.get(url, params={"purpose": "fine-tune"})).json()
    assert (result["valid"], result["lines"], result["examples"]) == (False, 152, 2)
    assert (len(result["errors"]), result["error_count"], result["truncated"]) == (100, 150, True)
    assert result["errors"][0]["line"] == 3
    assert (await client.get(url)).json() == result
    assert (await client.get(url, params={"purpose": "batch"})).status_code == 400
    binary = await upload("train.jsonl", b"%PDF\0\0")
    refused = (await client.get(f"/v1/files/{binary['id']}/validation")).json()
    assert not refused["valid"]
    assert "not text" in refused["errors"][0]["message"]
