"""Names of people, as joining compares them. Pure."""

import re
from collections.abc import Sequence
from itertools import combinations

_SEPARATORS = re.compile(r"[\W_]+")
# Words in the name of an account that are no part of its person's name.
_NO_NAMES = frozenset(
    [
        "admin",
        "administrator",
        "adm",
        "admins",
        "privileged",
        "priv",
        "tier",
        "t0",
        "t1",
        "t2",
        "da",
        "ea",
        "pa",
        "su",
        "root",
        "service",
        "svc",
        "account",
        "acct",
        "user",
        "test",
        "external",
        "ext",
        "extern",
        "guest",
        "contractor",
        "consultant",
        "cloud",
        "local",
        "domain",
        "mr",
        "mrs",
        "ms",
        "miss",
        "dr",
        "prof",
        "jr",
        "sr",
        "ii",
        "iii",
        "secondary",
        "elevated",
        "super",
        "superuser",
        "ops",
    ]
)


def name_key(text: str) -> str:
    """The words of a display name, case-folded and separated by blanks: ``Lee, Kim (Admin)`` gives ``kim lee``.

    "" where no name is left.
    """
    if text.isascii() and text.replace(" ", "").isalnum():
        words = text.lower().split(" ")
    else:
        before, comma, after = text.partition(",")
        if comma:
            text = f"{after} {before}"
        words = _SEPARATORS.split(text.casefold())
    words = [word for word in words if word]
    return " ".join(word for word in words if word not in _NO_NAMES)[:320].strip()


def contradict(keys: Sequence[str]) -> bool:
    """Whether two of these name keys are of different people: each has a word that the other lacks.

    An initial matches every word that starts with it. An unknown name ("") contradicts nobody.
    """
    known = [key.split() for key in sorted(set(keys)) if key]
    return any(not _covers(one, other) and not _covers(other, one) for one, other in combinations(known, 2))


def _covers(many: Sequence[str], few: Sequence[str]) -> bool:
    return all(any(_same(word, other) for other in many) for word in few)


def _same(one: str, other: str) -> bool:
    if len(one) == 1 or len(other) == 1:
        return one[0] == other[0]
    return one == other
