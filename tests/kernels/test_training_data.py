"""Rows to chat examples, and what is refused."""

import json

import pandas as pd
import pytest
from perijove_kernels.training_data import to_jsonl


def lines(data: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in data.decode().splitlines()]


def test_a_pair_of_columns_with_a_system_text() -> None:
    df = pd.DataFrame([{"question": "Hi?", "answer": "Ho.", "system": "Be brief."}])
    assert lines(to_jsonl(df)) == [
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi?"},
                {"role": "assistant", "content": "Ho."},
            ]
        }
    ]


def test_messages_pass_through_and_text_is_kept_as_it_is() -> None:
    messages = [{"role": "user", "content": "größer 🪐"}, {"role": "assistant", "content": "yes"}]
    made = to_jsonl([{"messages": messages}])
    assert "größer 🪐".encode() in made
    assert lines(made) == [{"messages": messages}]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "no rows"),
        ([{"a": "x", "b": "y"}], "columns a, b"),
        ([{"prompt": "x", "completion": "y"}, {"prompt": "x", "completion": " "}], "Row 1: 'completion'"),
        ([{"prompt": float("nan"), "completion": "y"}], "Row 0: 'prompt'"),
        ([{"messages": "not json"}], "Row 0"),
        ([{"messages": []}], "Row 0"),
    ],
)
def test_what_cannot_be_an_example_is_named(rows: list[dict[str, object]], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        to_jsonl(rows)


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="not int"):
        to_jsonl(3)  # type: ignore[arg-type]
