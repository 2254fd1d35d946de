"""Quantities, held to what Kubernetes' own code says of the same texts, and to their laws."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from perijove_platform.clusters.quantities import MAX_INT64, NANO, Format, Quantity, QuantityError, parse, total, totals

KUBERNETES: dict[str, Any] = json.loads((Path(__file__).parent / "kubernetes_quantities.json").read_text())
CANONICAL = re.compile(r"-?[1-9][0-9]*(n|u|m|k|M|G|T|P|E|[KMGTPE]i|e-?[1-9][0-9]*)?|0")


def test_kubernetes_reads_and_writes_the_same() -> None:
    wrong = []
    for row in KUBERNETES["quantities"]:
        try:
            quantity = parse(row["text"])
        except QuantityError:
            if row["valid"]:
                wrong.append((row, "refused"))
            continue
        if (row.get("canonical"), row.get("format")) != (str(quantity), quantity.format.value):
            wrong.append((row, str(quantity)))
        # Beyond 64 bits and below zero, `Quantity.Value` of Kubernetes overflows.
        if "value" in row and quantity.value <= MAX_INT64 and quantity.value != row["value"]:
            wrong.append((row, str(quantity.value)))
    assert wrong == []
    assert len(KUBERNETES["quantities"]) > 400


def test_kubernetes_sums_the_same() -> None:
    wrong = [row for row in KUBERNETES["sums"] if str(total(map(parse, row["terms"]))) != row["sum"]]
    assert wrong == []
    assert len(KUBERNETES["sums"]) > 90


@pytest.mark.parametrize("text", ["+", "-", ".", "m", "Gi", "+.", "1e1000", "1" * 129, "٣", "1\n", "1.5.", "١Gi"])
def test_what_the_grammar_does_not_have(text: str) -> None:
    with pytest.raises(QuantityError, match="not a Kubernetes quantity"):
        parse(text)


@pytest.mark.parametrize(("number", "text"), [(2, "2"), (0.5, "500m"), (0, "0")])
def test_numbers_without_quotes(number: float, text: str) -> None:
    assert str(parse(number)) == text


def random_quantity(source: random.Random) -> Quantity:
    amount = source.choice([source.randint(-(10**12), 10**12), source.randint(-5000, 5000), 0, 1024, 10**9])
    scale = source.choice([1, 1000, 10**6, NANO, NANO * 1024, NANO << 20])
    nano = max(-MAX_INT64 * NANO, min(MAX_INT64 * NANO, amount * scale))
    return Quantity(nano, source.choice(list(Format)))


def test_laws() -> None:
    source = random.Random(11)
    for _ in range(5000):
        first, second = random_quantity(source), random_quantity(source)
        text = str(first)
        assert CANONICAL.fullmatch(text), text
        assert parse(text) == first, text
        # Without a suffix a binary quantity reads as a decimal one.
        assert first.format is Format.BINARY or str(parse(text)) == text
        assert (first + second).nano == (second + first).nano == first.nano + second.nano
        assert first + second - second == first
        assert (first < second, first == second) == (first.nano < second.nano, first.nano == second.nano)
        assert abs(first.value * NANO) >= abs(first.nano) > abs(first.value * NANO) - NANO
        assert first.whole == (first.value * NANO == first.nano)
        assert hash(parse(text)) == hash(first)


def test_sums_over_what_several_have() -> None:
    nodes = [{"cpu": "3920m", "memory": "1Gi"}, {"cpu": "80m", "memory": "512Mi", "nvidia.com/gpu": "2"}, {}]
    found = {name: str(quantity) for name, quantity in totals(nodes).items()}
    assert found == {"cpu": "4", "memory": "1536Mi", "nvidia.com/gpu": "2"}
