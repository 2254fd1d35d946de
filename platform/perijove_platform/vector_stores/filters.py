"""Attribute filters: OpenAI's form, as SQL conditions over the attributes, and the index expression they end in.

Attributes belong to files, of which a store has far fewer than chunks, so a filter is decided in SQL, where values are
bound parameters and types are columns, and reaches the index as numbers of files. (A Milvus expression over a JSON
field is evaluated row by row by Milvus Lite: 380-530 ms over 20,000 chunks; over file numbers it takes 15-20 ms.)
"""

from collections.abc import Collection, Iterable
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    Tag,
    model_validator,
)

from perijove_platform.schemas import Request
from perijove_platform.vector_stores.tables import AttributeRow, StoreFileRow

MAX_DEPTH = 8
MAX_COMPARISONS = 64
MAX_VALUES = 500
_EXACT_INTEGER = 2**53
_ORDERED = ("gt", "gte", "lt", "lte")
_LISTS = ("in", "nin")


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return text


AttributeValue = (
    StrictBool
    | Annotated[StrictInt, Field(ge=-_EXACT_INTEGER, le=_EXACT_INTEGER)]
    | Annotated[StrictFloat, Field(allow_inf_nan=False)]
    | Annotated[StrictStr, Field(max_length=512), AfterValidator(_without_nul)]
)
AttributeKey = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_without_nul)]


class ComparisonFilter(Request):
    """Compares one attribute; a file that lacks it, or has it in another type, is matched by `ne` and `nin` only."""

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    key: AttributeKey
    value: AttributeValue | Annotated[list[AttributeValue], Field(max_length=MAX_VALUES)]

    @model_validator(mode="after")
    def _value_fits(self) -> "ComparisonFilter":
        if isinstance(self.value, list) != (self.type in _LISTS):
            raise ValueError(f"'{self.type}' takes {'a list of values' if self.type in _LISTS else 'one value'}")
        if self.type in _ORDERED and isinstance(self.value, bool):
            raise ValueError(f"'{self.type}' takes a number or a string, not a boolean")
        return self

    @property
    def values(self) -> list[bool | int | float | str]:
        """What is compared with: several for `in` and `nin`, else one."""
        return list(self.value) if isinstance(self.value, list) else [self.value]


class CompoundFilter(Request):
    """All (`and`) or any (`or`) of some filters."""

    type: Literal["and", "or"]
    filters: list["AnyFilter"] = Field(min_length=1, max_length=MAX_COMPARISONS)


def _kind(value: Any) -> str:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return "compound" if kind in ("and", "or") else "comparison"


AnyFilter = Annotated[
    Annotated[ComparisonFilter, Tag("comparison")] | Annotated[CompoundFilter, Tag("compound")], Discriminator(_kind)
]
CompoundFilter.model_rebuild()


def _bounded(filter: ComparisonFilter | CompoundFilter) -> ComparisonFilter | CompoundFilter:
    level: list[ComparisonFilter | CompoundFilter] = [filter]
    comparisons = 0
    for _ in range(MAX_DEPTH):
        comparisons += sum(isinstance(part, ComparisonFilter) for part in level)
        level = [part for above in level if isinstance(above, CompoundFilter) for part in above.filters]
        if comparisons + len(level) > MAX_COMPARISONS:
            raise ValueError(f"a filter has at most {MAX_COMPARISONS} comparisons")
    if level:
        raise ValueError(f"a filter is nested at most {MAX_DEPTH} levels deep")
    return filter


Filter = Annotated[AnyFilter, AfterValidator(_bounded)]


def condition(filter: ComparisonFilter | CompoundFilter) -> sa.ColumnElement[bool]:
    """The condition on `StoreFileRow` that `filter` states."""
    if isinstance(filter, CompoundFilter):
        parts = [condition(part) for part in filter.filters]
        return sa.and_(*parts) if filter.type == "and" else sa.or_(*parts)
    if filter.type in _LISTS:
        found = sa.or_(sa.false(), *(_exists(filter.key, _equals(value)) for value in filter.values))
        return sa.not_(found) if filter.type == "nin" else found
    value = filter.values[0]
    if filter.type in ("eq", "ne"):
        equal = _exists(filter.key, _equals(value))
        return sa.not_(equal) if filter.type == "ne" else equal
    return _exists(filter.key, _ordered(filter.type, value))


def _exists(key: str, compares: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.exists().where(AttributeRow.file_number == StoreFileRow.number, AttributeRow.key == key, compares)


def _equals(value: bool | int | float | str) -> sa.ColumnElement[bool]:
    if isinstance(value, bool):
        return AttributeRow.flag.is_(value)
    return AttributeRow.text == value if isinstance(value, str) else AttributeRow.number == float(value)


def _ordered(operator: str, value: bool | int | float | str) -> sa.ColumnElement[bool]:
    column: Any = AttributeRow.text if isinstance(value, str) else AttributeRow.number
    bound = value if isinstance(value, str) else float(value)
    compared: sa.ColumnElement[bool] = {
        "gt": column > bound,
        "gte": column >= bound,
        "lt": column < bound,
        "lte": column <= bound,
    }[operator]
    return compared


def attribute_rows(file_number: int, attributes: dict[str, bool | int | float | str]) -> Iterable[AttributeRow]:
    """`attributes` as rows, each value in the column of its type."""
    for key, value in attributes.items():
        row = AttributeRow(file_number=file_number, key=key)
        if isinstance(value, bool):
            row.flag = value
        elif isinstance(value, str):
            row.text = value
        else:
            row.number = float(value)
        yield row


def file_expression(wanted: Collection[int], others: Collection[int]) -> str:
    """The Milvus expression for the chunks of `wanted` files out of `wanted` and `others`; "" when all are wanted.

    Only numbers of ours are in it, so nothing that a client sent ever reaches Milvus' parser.
    """
    if not others:
        return ""
    if len(wanted) <= len(others):
        return f"file in [{', '.join(str(int(number)) for number in sorted(wanted))}]"
    return f"file not in [{', '.join(str(int(number)) for number in sorted(others))}]"
