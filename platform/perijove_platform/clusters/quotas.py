"""What is set aside for projects on a cluster, and what of it Kubernetes and Kueue would take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from perijove_platform.clusters.quantities import MAX_INT64, QuantityError, parse

Quantities = dict[str, str | int | float]
MAX_RESOURCES = 64
_DIVISIBLE = {"cpu", "memory", "ephemeral-storage", "storage"}
_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class ProjectQuota:
    """What is set aside for a project.

    Attributes:
        resources: canonical Kubernetes quantities by resource name.
        cohort: in which projects lend each other what they do not use; ``None`` for none: then this is all it gets.
    """

    resources: Mapping[str, str]
    cohort: str | None


def default_cohort(organization_id: str) -> str:
    """All projects of an organization."""
    return f"perijove-{organization_id}"


def checked_resources(resources: Quantities) -> dict[str, str]:
    """The quantities in their canonical form.

    Raises:
        ValueError: a name or a quantity that Kubernetes would refuse; says which.
    """
    if not 1 <= len(resources) <= MAX_RESOURCES:
        raise ValueError(f"name 1 to {MAX_RESOURCES} resources, as {{'cpu': '8', 'memory': '32Gi'}}")
    return {name: _checked(name, quantity) for name, quantity in resources.items()}


def checked_cohort(cohort: str | None) -> str | None:
    """Raises `ValueError` when it cannot be a cohort's name."""
    if cohort is not None and not (_SUBDOMAIN.fullmatch(cohort) and len(cohort) <= 253):
        raise ValueError("a cohort has a DNS name: lower-case letters, digits, hyphens and dots")
    return cohort


def _checked(name: str, text: str | int | float) -> str:
    domain, slash, last = name.rpartition("/")
    if not _NAME.fullmatch(last) or (slash and not (_SUBDOMAIN.fullmatch(domain) and len(domain) <= 253)):
        raise ValueError(f"'{name[:80]}' is not a resource's name; cpu, memory and nvidia.com/gpu are")
    try:
        quantity = parse(text)
    except QuantityError as error:
        raise ValueError(f"{name}: {error}") from None
    if quantity.nano < 0 or quantity.value > MAX_INT64:
        raise ValueError(f"{name}: a quota lies between 0 and 2^63-1, not at {text}")
    if name not in _DIVISIBLE and not quantity.whole:
        raise ValueError(f"{name}: devices are counted in whole numbers, not in {text}")
    return str(quantity)
