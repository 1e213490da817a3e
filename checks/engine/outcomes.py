"""The outcome of a check for a user, and how the outcomes of many checks are packed into integers. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

BITS = 3
# 63 bits of a signed 64-bit integer, so that no word is negative.
CHECKS_PER_WORD = 21
MASK = (1 << BITS) - 1


class Outcome(IntEnum):
    """The outcome of one check for one user."""

    OUT_OF_SCOPE = 0
    PASS = 1
    FAIL = 2
    UNKNOWN = 3
    # A value that the check reads is older than its maximum age: the finding stays as it is.
    STALE = 4


class Change(IntEnum):
    """The change that a run makes to a user's finding."""

    OPEN = 1
    # The finding was resolved as unknown, and the user fails: the same finding is open again.
    REOPEN = 2
    RESOLVE = 3
    # The finding was resolved as unknown, and the user is known not to fail: it cannot be reopened any more.
    SETTLE = 4


@dataclass(frozen=True, slots=True)
class Place:
    """The place of the outcome of the check with this index: bits ``shift`` to ``shift`` + 2 of ``word``."""

    word: int
    shift: int

    @classmethod
    def of(cls, index: int) -> "Place":
        word, position = divmod(index, CHECKS_PER_WORD)
        return cls(word, BITS * position)


@dataclass(slots=True)
class Tally:
    """The users of one check. ``by_outcome``: how many. ``failing``: the fingerprint of those who fail; None where the
    database gives none."""

    by_outcome: list[int] = field(default_factory=lambda: [0] * len(Outcome))
    failing: int | None = 0


def tally(words: Iterable[tuple[int, int, int | None]]) -> list[Tally]:
    """``words``: word, number and fingerprint of its users. Returns the tally of each position in the word."""
    tallies = [Tally() for _ in range(CHECKS_PER_WORD)]
    for word, users, fingerprint in words:
        for each in tallies:
            each.by_outcome[word & MASK] += users
            if word & MASK == Outcome.FAIL:
                each.failing = combined(each.failing, fingerprint)
            word >>= BITS
    return tallies


def combined(first: int | None, second: int | None) -> int | None:
    """The fingerprint of two sets of users that share none."""
    return None if first is None or second is None else first ^ second
