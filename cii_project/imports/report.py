"""The report of an import, as sentences that a command and a page share."""

from dataclasses import dataclass

from checks.models import Import
from checks.services import ReadingWarning, WordCount, reported_warnings, reported_words

MOST_SENTENCES = 20


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The report of one import. ``words``: without a meaning, most frequent first. ``unread``: fields whose last values
    were kept, since no record had them."""

    words: list[WordCount]
    warnings: list[ReadingWarning]
    unread: list[str]

    def sentences(self) -> list[str]:
        """One sentence each: warnings, then words, then the fields that were not read."""
        found = [f"{each.field}: {each.text}" if each.field else each.text for each in self.warnings]
        found += [word_sentence(word) for word in self.words[:MOST_SENTENCES]]
        if len(self.words) > MOST_SENTENCES:
            found.append(f"… and {len(self.words) - MOST_SENTENCES:,} more words without a meaning.")
        if self.unread:
            found.append(f"Not in the file, so the last values stay: {', '.join(self.unread)}.")
        return found


def word_sentence(word: WordCount) -> str:
    records = "1 record" if word.count == 1 else f"{word.count:,} records"
    return f"{word.field}: “{word.word}” ({records}) has no meaning here and is read as unknown."


def report_of(done: Import) -> ImportReport:
    return ImportReport(
        reported_words(done.unknown_words), reported_warnings(done.warnings), list(done.unread_fields)
    )
