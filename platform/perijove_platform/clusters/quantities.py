"""Kubernetes quantities: ``500m`` of a CPU, ``1Gi`` of memory, ``2`` of nvidia.com/gpu.

The grammar and the canonical form are those of `k8s.io/apimachinery/pkg/api/resource`: decimal and binary suffixes,
decimal exponents, no fraction below 1n (rounded away from zero). The parser of Kubernetes also reads a lone sign, dot
or suffix as zero, which its grammar does not allow; neither does this one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import total_ordering

NANO = 10**9
MAX_INT64 = 2**63 - 1
_MAX_CHARACTERS = 128
_MAX_EXPONENT = 99
_GRAMMAR = re.compile(
    r"(?P<sign>[+-]?)(?:(?P<whole>[0-9]+)(?:\.(?P<part>[0-9]*))?|\.(?P<only_part>[0-9]+))"
    r"(?:(?P<binary>[KMGTPE]i)|[eE](?P<exponent>[+-]?[0-9]+)|(?P<decimal>[numkMGTPE]?))"
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIX = {exponent: suffix for suffix, exponent in _BINARY.items()}
_MAX_SUFFIXED = 18


class QuantityError(ValueError):
    """The text is not a quantity; the message says how to write one."""


class Format(Enum):
    """How a quantity was written, which is how it is written again."""

    DECIMAL = "DecimalSI"
    BINARY = "BinarySI"
    EXPONENT = "DecimalExponent"


@total_ordering
@dataclass(frozen=True, eq=False)
class Quantity:
    """An exact amount. Equal amounts are equal however they were written.

    Attributes:
        nano: billionths of the resource's unit.
    """

    nano: int = 0
    format: Format = Format.DECIMAL

    @staticmethod
    def of(amount: int, format: Format = Format.DECIMAL) -> Quantity:
        """So many whole units."""
        return Quantity(amount * NANO, format)

    @property
    def value(self) -> int:
        """Whole units, rounded away from zero."""
        return _rounded(self.nano, NANO)

    @property
    def whole(self) -> bool:
        """Whether there is no fraction of a unit."""
        return self.nano % NANO == 0

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.nano + other.nano, self.format if self.nano else other.format)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.nano - other.nano, self.format if self.nano else other.format)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.nano == other.nano

    def __lt__(self, other: Quantity) -> bool:
        return self.nano < other.nano

    def __hash__(self) -> int:
        return hash(self.nano)

    def __bool__(self) -> bool:
        return self.nano != 0

    def __str__(self) -> str:
        """The canonical form: no fraction, the largest suffix that loses nothing."""
        if not self.nano:
            return "0"
        if self.format is Format.BINARY and self.whole and abs(self.value) >= 1024:
            mantissa, exponent = _reduced(self.value, 1024, 10, 60)
            return f"{mantissa}{_BINARY_SUFFIX.get(exponent, '')}"
        exponential = self.format is Format.EXPONENT
        mantissa, exponent = _reduced(self.nano, 1000, 3, None if exponential else _MAX_SUFFIXED + 9)
        exponent -= 9
        if exponential:
            return f"{mantissa}e{exponent}" if exponent else str(mantissa)
        return f"{mantissa}{_DECIMAL_SUFFIX[exponent]}"


def parse(text: str | int | float) -> Quantity:
    """Read a quantity.

    Args:
        text: as in a manifest, where numbers may lack quotes.

    Raises:
        QuantityError: it is not one.
    """
    text = str(text)
    match = _GRAMMAR.fullmatch(text) if len(text) <= _MAX_CHARACTERS else None
    if match is None or abs(int(match["exponent"] or 0)) > _MAX_EXPONENT:
        raise QuantityError(
            f"'{text[:40]}' is not a Kubernetes quantity. Write a number and optionally a suffix, as 500m, 2 or 16Gi."
        )
    whole, part = match["whole"] or "", match["part"] or match["only_part"] or ""
    digits = int(whole + part) * NANO
    if match["binary"]:
        numerator, denominator, format = digits << _BINARY[match["binary"]], 10 ** len(part), Format.BINARY
    else:
        exponential = match["exponent"] is not None
        power = int(match["exponent"]) if exponential else _DECIMAL[match["decimal"]]
        power -= len(part)
        numerator, denominator = digits * 10 ** max(power, 0), 10 ** max(-power, 0)
        format = Format.EXPONENT if exponential else Format.DECIMAL
    nano = _rounded(numerator, denominator)
    if format is Format.BINARY:
        nano = min(nano, MAX_INT64 * NANO)
        format = Format.BINARY if nano >= NANO or not nano else Format.DECIMAL
    return Quantity(-nano if match["sign"] == "-" else nano, format)


def total(quantities: Iterable[Quantity]) -> Quantity:
    """Their sum, written as the first that is not zero."""
    found = Quantity()
    for quantity in quantities:
        found += quantity
    return found


def totals(amounts: Iterable[Mapping[str, str]]) -> dict[str, Quantity]:
    """By resource, the sum over what several have, as the allocatable resources of nodes."""
    found: dict[str, Quantity] = {}
    for amount in amounts:
        for resource, text in amount.items():
            found[resource] = found.get(resource, Quantity()) + parse(text)
    return found


def _rounded(numerator: int, denominator: int) -> int:
    """The quotient, rounded away from zero."""
    return -(-numerator // denominator) if numerator > 0 else numerator // denominator


def _reduced(value: int, base: int, step: int, most: int | None) -> tuple[int, int]:
    """The value without its factors `base`, and the exponent (in units of `step`) that they amount to."""
    exponent = 0
    while value % base == 0 and (most is None or exponent + step <= most):
        value //= base
        exponent += step
    return value, exponent
