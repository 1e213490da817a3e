"""Verdict words: the answers of all checks on one user, two bits each, in two integers. Pure.

Slots 0 to 30 lie in the first word, 31 to 61 in the second: 62 bits of a signed 64-bit integer, so that no
word is ever negative.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

SLOTS_A_WORD = 31
WORDS = ("a", "b")
_EVERY_SLOT = (1 << 2 * SLOTS_A_WORD) - 1
LOW_BITS = _EVERY_SLOT // 3


class Verdict(IntEnum):
    OUT_OF_SCOPE = 0
    PASSES = 1
    FAILS = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Place:
    """Where a check's two bits lie: ``word`` is the index of the word, ``shift`` that of the lower bit.

    ``ordinary`` is what most users get, failing aside. It is stored as 0 and OUT_OF_SCOPE in its stead: a
    first run need not write the users who are ordinary in every check. FAILS is stored the same always.
    """

    word: int
    shift: int
    ordinary: Verdict = Verdict.OUT_OF_SCOPE

    @property
    def slot(self) -> int:
        return self.word * SLOTS_A_WORD + self.shift // 2

    @property
    def mask(self) -> int:
        return 3 << self.shift

    def code(self, verdict: Verdict) -> int:
        """The two bits that a verdict is stored as."""
        if verdict == self.ordinary:
            return 0
        return self.ordinary if verdict == Verdict.OUT_OF_SCOPE else verdict

    def bits(self, verdict: Verdict) -> int:
        return self.code(verdict) << self.shift


def place(slot: int, ordinary: Verdict = Verdict.OUT_OF_SCOPE) -> Place:
    """Raises ``ValueError`` where both words are full."""
    word, index = divmod(slot, SLOTS_A_WORD)
    if word >= len(WORDS):
        raise ValueError(
            f"Slot {slot} does not exist: the verdict words hold {len(WORDS) * SLOTS_A_WORD} checks."
        )
    return Place(word, 2 * index, ordinary)


def mask(places: Iterable[Place], word: int) -> int:
    """The bits of all these places that lie in ``word``."""
    return sum(each.mask for each in places if each.word == word)


def complement(bits: int) -> int:
    """All bits of a word but these."""
    return _EVERY_SLOT & ~bits


# slot → how many users have the bits 1, 2 and 3 there; the others have 0.
Codes = Mapping[int, list[int]]


@dataclass(slots=True)
class Tally:
    """Counts which bits the words of users hold.

    Words are counted byte by byte (four checks a byte): sixteen additions for a group of users with the
    same words, instead of one for each check.
    """

    bytes_: list[list[int]] = field(default_factory=lambda: [[0] * 256 for _ in range(8 * len(WORDS))])

    def add(self, words: Iterable[int], users: int) -> None:
        for index, word in enumerate(words):
            for position in range(8):
                self.bytes_[8 * index + position][(word >> 8 * position) & 255] += users

    def codes(self) -> Codes:
        found: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
        for number, counts in enumerate(self.bytes_):
            word, position = divmod(number, 8)
            for value, users in enumerate(counts):
                for index in range(4) if users else ():
                    if code := (value >> 2 * index) & 3:
                        found[word * SLOTS_A_WORD + 4 * position + index][code - 1] += users
        return dict(found)


@dataclass(slots=True)
class Tallies:
    """The verdicts on ``users`` users: those stored before a run, and what the run changes in them.

    ``began`` and ``ended``: slot → how many users began or ceased to fail.
    """

    users: int
    stored: Codes
    change: Codes = field(default_factory=dict)
    began: Mapping[int, int] = field(default_factory=dict)
    ended: Mapping[int, int] = field(default_factory=dict)

    def now(self, at: Place, verdict: Verdict) -> int:
        """How many users have that verdict once the changes are made."""
        counts = self._codes(at.slot)
        code = at.code(verdict)
        # Never less than nobody, though users be deleted while they are judged.
        return max(0, counts[code - 1] if code else self.users - sum(counts))

    def evaluated(self, at: Place) -> int:
        return self.users - self.now(at, Verdict.OUT_OF_SCOPE)

    def newly_failing(self, at: Place) -> int:
        return self.began.get(at.slot, 0)

    def no_longer_failing(self, at: Place) -> int:
        return self.ended.get(at.slot, 0)

    def findings_change(self, at: Place) -> bool:
        return bool(self.newly_failing(at) or self.no_longer_failing(at))

    def after(self, written: Collection[int]) -> Codes:
        """What is stored once the changes at these slots are written."""
        return {
            slot: self._codes(slot) if slot in written else self.stored[slot]
            for slot in {*self.stored, *written}
        }

    def _codes(self, slot: int) -> list[int]:
        before, more = self.stored.get(slot, _NONE), self.change.get(slot, _NONE)
        return [one + other for one, other in zip(before, more, strict=True)]


_NONE = [0, 0, 0]
