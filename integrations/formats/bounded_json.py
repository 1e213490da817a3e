"""JSON from outside, within bounds of size, depth and number of values.

``json`` alone takes gigabytes for a megabyte of brackets, and raises RecursionError where it should raise ValueError.
"""

import json
from collections.abc import Callable

from integrations.errors import IntegrationError
from integrations.json_types import Json

MAX_DEPTH = 32
MAX_BYTES = 1 << 20
MAX_VALUES = 50_000


class OutOfBounds(IntegrationError, ValueError):
    """Well-formed or not, it is larger, deeper or fuller than is read; the text says which and what is allowed."""


TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"
TOO_LARGE = f"larger than {MAX_BYTES:,} bytes"
TOO_FULL = f"more than {MAX_VALUES:,} values"


def loads(
    text: str | bytes,
    *,
    parse_constant: Callable[[str], object] | None = None,
    parse_int: Callable[[str], object] | None = None,
    object_pairs_hook: Callable[[list[tuple[str, object]]], object] | None = None,
    max_bytes: int = MAX_BYTES,
    max_values: int = MAX_VALUES,
    strict: bool = True,
) -> Json:
    """The value; without ``strict`` its texts may have control characters. Raises :class:`OutOfBounds`, which is a ValueError, or another ValueError."""
    if len(text) > max_bytes:
        raise OutOfBounds(f"larger than {max_bytes:,} bytes")
    try:
        value = json.loads(
            text,
            parse_constant=parse_constant,
            parse_int=parse_int,
            object_pairs_hook=object_pairs_hook,
            strict=strict,
        )
    except RecursionError:
        raise OutOfBounds(TOO_DEEP) from None
    check(value, max_values)
    return value


def check(value: object, max_values: int = MAX_VALUES) -> None:
    """Raises :class:`OutOfBounds` for a value that is nested too deep or holds too many values."""
    level, depth, count = [value], 0, 0
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise OutOfBounds(TOO_DEEP)
        count += sum(map(len, level))
        if count > max_values:
            raise OutOfBounds(f"more than {max_values:,} values")
        level = [item for each in level for item in (each.values() if isinstance(each, dict) else each)]
