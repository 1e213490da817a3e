"""The report of a reading of records, without the rejected ones: words without a meaning, and warnings.
Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict

from checks.importing.rules import Note, NoteKind

# A column that was mapped by mistake has a different word in every record.
MOST_WORDS = 1_000
OTHERS = "…"
SHOWN_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class WordCount:
    """A word without a meaning, and the number of records that have it. The field is unknown there."""

    field: str
    word: str
    count: int


class StoredWord(TypedDict):
    """A word as ``Import.unknown_words`` holds it."""

    field: str
    word: str
    count: int


@dataclass(frozen=True, slots=True)
class ReadingWarning:
    """A sentence about an import; ``field`` may be empty."""

    field: str
    text: str


class ReadingReport:
    """Counts the notes of the records that are read."""

    def __init__(self) -> None:
        self._words: Counter[tuple[str, str]] = Counter()
        # (field, kind, advice) → word → count.
        self._others: dict[tuple[str, NoteKind, str], Counter[str]] = {}

    def add(self, notes: Iterable[Note]) -> None:
        for note in notes:
            if note.kind is NoteKind.UNKNOWN_WORD:
                key = (note.field, note.word)
                if key not in self._words and len(self._words) >= MOST_WORDS:
                    key = (note.field, OTHERS)
                self._words[key] += 1
            else:
                words = self._others.setdefault((note.field, note.kind, note.text), Counter())
                words[note.word if note.word in words or len(words) < SHOWN_EXAMPLES else OTHERS] += 1

    def unknown_words(self) -> list[WordCount]:
        """The words without a meaning, most frequent first."""
        return [
            WordCount(field, word, count)
            for (field, word), count in sorted(self._words.items(), key=lambda item: (-item[1], item[0]))
        ]

    def warnings(self) -> list[ReadingWarning]:
        """One sentence for each field and kind of value that was read as unknown, or otherwise than it is written."""
        found = []
        for (field, kind, advice), words in sorted(self._others.items()):
            shown = ", ".join(f"“{word}”" for word in words if word != OTHERS)
            more = ", …" if OTHERS in words else ""
            found.append(ReadingWarning(field, _sentence(kind, words.total(), shown + more, advice)))
        return found


def _sentence(kind: NoteKind, count: int, shown: str, advice: str) -> str:
    records = "1 record" if count == 1 else f"{count:,} records"
    if kind is NoteKind.AHEAD:
        return f"{records}: employment ends in the future ({shown}); the status is active until then."
    return f"{records}: {shown} is read as unknown: {advice}."


def as_json(items: Iterable[WordCount | ReadingWarning]) -> list[dict[str, object]]:
    """The form in which an import stores them."""
    return [{name: getattr(item, name) for name in item.__slots__} for item in items]


def reported_words(stored: Iterable[StoredWord]) -> list[WordCount]:
    """The words of ``Import.unknown_words``."""
    return [WordCount(str(each["field"]), str(each["word"]), int(each["count"])) for each in stored]


def reported_warnings(stored: Iterable[dict[str, object]]) -> list[ReadingWarning]:
    """The warnings of ``Import.warnings``."""
    return [ReadingWarning(str(each["field"]), str(each["text"])) for each in stored]
