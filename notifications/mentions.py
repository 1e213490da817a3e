"""Which findings a message of many speaks of, as its delivery keeps it: pure.

``{"first": 3, "last": 9, "ranges": [[3, 5], [9, 9]]}``: the ids of the findings that one run opens mostly
follow each other, so that a list of half a million users is a range or a few.
"""

from bisect import bisect_right
from collections.abc import Iterable
from typing import TypedDict

from django.db.models import Q


class Mentions(TypedDict):
    """Both ends of a range are in it."""

    first: int
    last: int
    ranges: list[list[int]]


def of(findings: Iterable[int]) -> Mentions | None:
    """Of these findings' ids, in any order; None: of none."""
    ranges: list[list[int]] = []
    for key in sorted(findings):
        if ranges and key <= ranges[-1][1] + 1:
            ranges[-1][1] = key
        else:
            ranges.append([key, key])
    return Mentions(first=ranges[0][0], last=ranges[-1][1], ranges=ranges) if ranges else None


def among(mentions: Mentions | None, finding: int) -> bool:
    """Whether the message speaks of the finding with this id."""
    if mentions is None:
        return False
    at = bisect_right(mentions["ranges"], finding, key=lambda one: one[0]) - 1
    return at >= 0 and finding <= mentions["ranges"][at][1]


def perhaps(finding: int) -> Q:
    """A condition on deliveries: few others than those that speak of it; ``among`` tells for certain."""
    return Q(about__first__lte=finding, about__last__gte=finding)
