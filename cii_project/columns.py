"""The names in a file of users that are no field of the data set: told, so that a slip in one is seen."""

import difflib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from checks.records import FIELDS

# So many records are looked at; a CSV file shows its columns in the first.
LOOKED_AT = 1_000


class Columns:
    """``of(records)`` passes the records on; afterwards ``ignored`` holds the names that nobody reads."""

    def __init__(self) -> None:
        self.ignored: list[str] = []

    def of(self, records: Iterable[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        remaining = iter(records)
        met: dict[str, None] = dict.fromkeys(FIELDS)
        for line, record in islice(remaining, LOOKED_AT):
            if isinstance(record, dict):
                self.ignored += [name for name in record if name not in met and _is_named(name)]
                met.update(dict.fromkeys(record))
            yield line, record
        yield from remaining

    def note(self) -> str:
        """One sentence on what was ignored, with the field that each name is near to; "" where nothing was."""
        if not self.ignored:
            return ""
        names = ", ".join(map(_with_field, self.ignored[:20])) + (" …" if len(self.ignored) > 20 else "")
        return f"Ignored, since they are no fields: {names}. The fields are: {', '.join(FIELDS)}."


def _is_named(name: str) -> bool:
    """Not a column without a name, nor one that stands aside for a mapped one (csv_file.py)."""
    return bool(name.strip()) and not (name.startswith("(") and name.endswith(")"))


def _with_field(name: str) -> str:
    near = difflib.get_close_matches(name.casefold(), FIELDS, n=1, cutoff=0.7)
    shown = name if len(name) <= 60 else name[:60] + "…"
    return f"{shown} (did you mean {near[0]}?)" if near else shown
