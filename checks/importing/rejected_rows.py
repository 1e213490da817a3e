"""The records that an import could not use, kept until the import's own row exists and stored with it."""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from itertools import islice

from django.utils import timezone

from checks.importing.staging import Rejected
from checks.models import Import, RejectedRow

# Larger files are kept in a temporary file without a name.
IN_MEMORY = 4 * 1024 * 1024
# At most this many rejected records are stored, the first ones.
MOST_ROWS = 100_000
BATCH = 500
KEPT_DAYS = 30
# A CSV row's cells beyond the header.
MORE_CELLS = "(more cells)"


class RejectedRows:
    """``add`` takes each rejected record and passes it on to ``listener``; ``store`` writes them all.

    ``names``: field → the file's name for it. Close it at the end.
    """

    def __init__(
        self, names: Mapping[str, str], listener: Callable[[Rejected], object] | None = None
    ) -> None:
        self.names, self.listener, self.count = names, listener, 0
        self._lines = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  close() closes it

    def add(self, rejected: Rejected) -> None:
        self.count += 1
        if self.count <= MOST_ROWS:
            problems = [problem._asdict() for problem in rejected.problems]
            row = [rejected.line, self._record(rejected.original), _storable(problems)]
            self._lines.write(json.dumps(row).encode() + b"\n")
        if self.listener:
            self.listener(rejected)

    def _record(self, original: object) -> object:
        """The record with the file's own column names; the text of a record that could not be read."""
        if not isinstance(original, dict):
            return _storable(original)
        return _storable(
            {
                MORE_CELLS if name is None else self.names.get(name, name): value
                for name, value in original.items()
            }
        )

    def store(self, done: Import) -> None:
        waiting = self._read()
        while rows := list(islice(waiting, BATCH)):
            RejectedRow.objects.bulk_create(
                RejectedRow(of_import=done, line=line, record=record, problems=problems)
                for line, record, problems in rows
            )

    def _read(self) -> Iterator[tuple[int, object, object]]:
        self._lines.seek(0)
        yield from map(json.loads, self._lines)

    def close(self) -> None:
        self._lines.close()


def _storable(value: object) -> object:
    """The value as JSON that both databases take: without NUL and halves of surrogate pairs."""
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_storable(str(key)): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else _storable(str(value))


def remove_old_rejected_rows() -> int:
    """Delete the rejected rows of imports that started over :data:`KEPT_DAYS` days ago; how many."""
    oldest = timezone.now() - timedelta(days=KEPT_DAYS)
    return RejectedRow.objects.filter(of_import__started_at__lt=oldest).delete()[0]
