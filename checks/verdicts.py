"""Verdict words: the answers of all checks on one user, two bits each, in two integers. Pure.

Slots 0 to 30 lie in the first word, 31 to 61 in the second: 62 bits of a signed 64-bit integer, so that no
word is ever negative.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

SLOTS_A_WORD = 31
WORDS = ("a", "b")
_EVERY_SLOT = (1 << 2 * SLOTS_A_WORD) - 1
_LOW_BITS = _EVERY_SLOT // 3


class Verdict(IntEnum):
    OUT_OF_SCOPE = 0
    PASSES = 1
    FAILS = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Place:
    """Where a check's two bits lie: ``word`` is the index of the word, ``shift`` that of the lower bit."""

    word: int
    shift: int

    @property
    def mask(self) -> int:
        return 3 << self.shift

    def bits(self, verdict: Verdict) -> int:
        return verdict << self.shift


def place(slot: int) -> Place:
    """Raises ``ValueError`` where both words are full."""
    word, index = divmod(slot, SLOTS_A_WORD)
    if word >= len(WORDS):
        raise ValueError(
            f"Slot {slot} does not exist: the verdict words hold {len(WORDS) * SLOTS_A_WORD} checks."
        )
    return Place(word, 2 * index)


def mask(places: Iterable[Place], word: int) -> int:
    """The bits of all these places that lie in ``word``."""
    return sum(each.mask for each in places if each.word == word)


def complement(bits: int) -> int:
    """All bits of a word but these."""
    return _EVERY_SLOT & ~bits


def failing(word: int) -> int:
    """Verdict 1 at each slot whose verdict in ``word`` is FAILS, 0 elsewhere."""
    return (word >> 1) & ~word & _LOW_BITS


@dataclass(slots=True)
class Tally:
    """Counts how many users have which verdict of which check.

    Words are counted byte by byte (four checks a byte): sixteen additions for a group of users with the
    same words, instead of one for each check.
    """

    bytes_: list[list[int]] = field(default_factory=lambda: [[0] * 256 for _ in range(8 * len(WORDS))])

    def add(self, words: tuple[int, int], users: int) -> None:
        for index, word in enumerate(words):
            for position in range(8):
                self.bytes_[8 * index + position][(word >> 8 * position) & 255] += users

    def count(self, at: Place, verdict: Verdict | int) -> int:
        position, shift = divmod(at.shift, 8)
        counts = self.bytes_[8 * at.word + position]
        return sum(users for value, users in enumerate(counts) if (value >> shift) & 3 == verdict)


@dataclass(slots=True)
class Tallies:
    """The verdicts stored before a run, and what the run changes in them."""

    stored: Tally = field(default_factory=Tally)
    before: Tally = field(default_factory=Tally)
    after: Tally = field(default_factory=Tally)
    began: Tally = field(default_factory=Tally)
    ended: Tally = field(default_factory=Tally)

    def add_change(self, old: tuple[int, int], new: tuple[int, int], users: int) -> None:
        """``users`` users whose words changed from ``old`` to ``new``."""
        self.before.add(old, users)
        self.after.add(new, users)
        was = [failing(word) for word in old]
        is_ = [failing(word) for word in new]
        self.began.add((is_[0] & ~was[0], is_[1] & ~was[1]), users)
        self.ended.add((was[0] & ~is_[0], was[1] & ~is_[1]), users)

    def now(self, at: Place, verdict: Verdict) -> int:
        """How many users have that verdict once the changes are made."""
        return max(0, sum(sign * tally.count(at, verdict) for sign, tally in self._signed()))

    def _signed(self) -> tuple[tuple[int, Tally], ...]:
        return (1, self.stored), (-1, self.before), (1, self.after)

    def evaluated(self, at: Place) -> int:
        return sum(self.now(at, verdict) for verdict in (Verdict.PASSES, Verdict.FAILS, Verdict.UNKNOWN))

    def newly_failing(self, at: Place) -> int:
        return self.began.count(at, 1)

    def no_longer_failing(self, at: Place) -> int:
        return self.ended.count(at, 1)

    def findings_change(self, at: Place) -> bool:
        return bool(self.newly_failing(at) or self.no_longer_failing(at))
