"""The old words of this project's texts, which its glossary replaced, are gone: in names, comments, pages and documentation."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = (
    "cii_project",
    "checks",
    "notifications",
    "integrations",
    "templates",
    "static",
    "docs",
    "tests",
    ".github",
)
FILES = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
SUFFIXES = {".py", ".html", ".txt", ".md", ".js", ".css", ".yml", ".yaml", ".json", ".po"}
# Code of others, and what is generated.
FOREIGN = re.compile(
    r"static/docs/mermaid/|static/console/alpine\.js|/migrations/|tests/upgrades/|tests/samples/|/golden/"
)

# A part of a name counts too: `is_judged`, `test_what_is_told`. One word for each meaning is in docs/glossary.md.
OLD = (
    r"judg(?:e|es|ed|ing)",  # evaluate, compare, check
    r"verdicts?",  # outcome, result
    r"told",  # notified, reported, shown
    r"whom",
    r"anew",  # again
    r"thereof",
    r"but for",
    r"will not do",  # is not accepted
    r"for[ _]ever",
    r"ticked",  # enabled, checked
    r"snooz(?:e|ed|es)",  # exclusion
    r"moulds?",
    r"doors?",  # transport, network rules
    r"curious|seasoned",
    r"dear",
    r"is no severity",
)
OLD_WORD = re.compile(rf"(?<![A-Za-z])(?:{'|'.join(OLD)})(?![A-Za-z])", re.IGNORECASE)


def texts() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in SUFFIXES and not FOREIGN.search(path.as_posix()) and path != Path(__file__):
                yield path
    yield from (ROOT / name for name in FILES if (ROOT / name).exists())


def test_no_old_word_is_left() -> None:
    found, read = [], 0
    for path in texts():
        read += 1
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if match := OLD_WORD.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {match[0]}")
    assert read > 900
    assert found == []


@pytest.mark.parametrize(
    "text", ["users who are judged", "def is_judged():", "test_what_is_told", "Whom it means"]
)
def test_an_old_word_is_seen_in_prose_and_in_names(text: str) -> None:
    assert OLD_WORD.search(text)


@pytest.mark.parametrize("text", ["for every user", "outdoors", "forever", "a sold ticket", "but forms"])
def test_another_word_with_the_same_letters_is_none(text: str) -> None:
    assert not OLD_WORD.search(text)
