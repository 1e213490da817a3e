"""The columns of a file that are no field of the data set, reported so that a typing error is noticed."""

import difflib
from collections.abc import Iterable, Iterator
from itertools import islice

from checks.services import RECORD_FIELDS, shorten
from cii_project.imports.vendor_records import fold_column
from integrations.services import Read

# Records that are examined while new names are found; a CSV file has all its columns in the first.
LOOKED_AT = 1_000
MOST_NAMES = 1_000


class Columns:
    """``of(records)`` passes the records on; afterwards ``ignored`` holds the names that nobody reads. ``combined``: folded
    columns that the vendor's layout reads together with others."""

    def __init__(self) -> None:
        self.ignored: list[str] = []
        self.combined: frozenset[str] = frozenset()

    def of(self, records: Iterable[Read]) -> Iterator[Read]:
        remaining = iter(records)
        met: dict[str, None] = dict.fromkeys(RECORD_FIELDS)
        for line, record in islice(remaining, LOOKED_AT):
            if isinstance(record, dict) and len(met) < MOST_NAMES:
                self.ignored += [name for name in record if name not in met and self._is_unread(name)]
                met.update(dict.fromkeys(record))
            yield line, record
        yield from remaining

    def _is_unread(self, name: str) -> bool:
        return _is_named(name) and fold_column(name) not in self.combined

    def note(self) -> str:
        """One sentence on what was ignored, with the field that each name is near to; "" where nothing was."""
        if not self.ignored:
            return ""
        names = ", ".join(map(_with_field, self.ignored[:20])) + (" …" if len(self.ignored) > 20 else "")
        return f"Ignored, since they are no fields: {names}. The fields are: {', '.join(RECORD_FIELDS)}."


def _is_named(name: str) -> bool:
    """Without columns that have no name, and those that a mapped column replaces (csv_file.py)."""
    return bool(name.strip()) and not (name.startswith("(") and name.endswith(")"))


def _with_field(name: str) -> str:
    near = difflib.get_close_matches(name.casefold(), RECORD_FIELDS, n=1, cutoff=0.7)
    shown = shorten(name)
    return f"{shown} (did you mean {near[0]}?)" if near else shown
