"""Rows of a DataFrame as OpenAI's chat format, one JSON object a line."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    Data = pd.DataFrame | Sequence[Mapping[str, Any]]

# (question column, answer column), in the order in which they are looked for.
PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("question", "answer"),
    ("instruction", "output"),
    ("input", "output"),
    ("user", "assistant"),
)
SYSTEM = "system"


def to_jsonl(data: "Data") -> bytes:
    """The training file for `data`.

    Args:
        data: a DataFrame or a list of dictionaries with either a column ``messages`` (a list of
            ``{"role", "content"}``), or one of the pairs of columns in `PAIRS`, optionally with ``system``.

    Raises:
        ValueError: there is no such column, no row, or a row lacks a value; names the row.
    """
    rows = _rows(data)
    if not rows:
        raise ValueError("The training data has no rows.")
    columns = set(rows[0])
    if "messages" in columns:
        examples = (_messages(row, number) for number, row in enumerate(rows))
    else:
        pair = next((pair for pair in PAIRS if columns.issuperset(pair)), None)
        if pair is None:
            known = ", ".join(f"'{question}' and '{answer}'" for question, answer in PAIRS)
            have = ", ".join(sorted(map(str, columns)))
            raise ValueError(
                f"Cannot tell question from answer in the columns {have}. "
                f"Name a column 'messages', or a pair {known}, optionally with '{SYSTEM}'."
            )
        examples = (_pair(row, number, *pair) for number, row in enumerate(rows))
    return _lines(examples)


def _lines(examples: Iterable[list[Mapping[str, Any]]]) -> bytes:
    return b"".join(json.dumps({"messages": list(e)}, ensure_ascii=False).encode() + b"\n" for e in examples)


def _rows(data: Any) -> list[Mapping[str, Any]]:
    if hasattr(data, "to_dict") and hasattr(data, "columns"):
        rows: list[Mapping[str, Any]] = data.to_dict(orient="records")
        return rows
    if isinstance(data, Sequence) and not isinstance(data, str | bytes) and all(isinstance(r, Mapping) for r in data):
        return list(data)
    raise ValueError(f"Give a pandas DataFrame or a list of dictionaries, not {type(data).__name__}.")


def _messages(row: Mapping[str, Any], number: int) -> list[Mapping[str, Any]]:
    messages = row["messages"]
    if isinstance(messages, str):
        try:
            messages = json.loads(messages)
        except ValueError:
            raise ValueError(f"Row {number}: 'messages' is text that is not JSON.") from None
    # A list that went through Parquet comes back as an array.
    if hasattr(messages, "tolist"):
        messages = messages.tolist()
    if not isinstance(messages, list) or not messages:
        raise ValueError(f"Row {number}: 'messages' must be a list of {{'role', 'content'}}.")
    return messages


def _pair(row: Mapping[str, Any], number: int, question: str, answer: str) -> list[Mapping[str, Any]]:
    messages: list[Mapping[str, Any]] = []
    if isinstance(row.get(SYSTEM), str) and row[SYSTEM]:
        messages.append({"role": "system", "content": row[SYSTEM]})
    for role, column in (("user", question), ("assistant", answer)):
        value = row.get(column)
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"Row {number}: '{column}' must be text and not empty, it is {value!r}.")
        messages.append({"role": role, "content": value})
    return messages
