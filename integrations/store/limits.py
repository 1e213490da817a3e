"""The limits that an integration may set for itself, and their bounds."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """The lowest and the highest value of a limit."""

    least: float
    most: float
    is_whole: bool


LIMITS: Mapping[str, Bounds] = {
    "per_second": Bounds(0.01, 10_000, False),
    "concurrency": Bounds(1, 1_000, True),
    "max_attempts": Bounds(1, 1_000, True),
    "max_age_hours": Bounds(1, 336, True),
}


def limit_error(name: str, value: object) -> str | None:
    """Why a limit must not have this value, as a sentence; None means the kind's default and is allowed."""
    if name not in LIMITS:
        return f"Unknown key. Known here: {', '.join(LIMITS)}."
    if value is None:
        return None
    bounds = LIMITS[name]
    is_number = isinstance(value, int if bounds.is_whole else int | float) and not isinstance(value, bool)
    if not isinstance(value, int | float) or not is_number or not bounds.least <= value <= bounds.most:
        whole = "whole " if bounds.is_whole else ""
        return f"Write a {whole}number from {bounds.least:g} to {bounds.most:g}, or leave it empty."
    return None
