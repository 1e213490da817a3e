"""The ids of the findings that a message is about, as its delivery stores them. Pure.

``{"first": 3, "last": 9, "ranges": [[3, 5], [9, 9]]}``: the findings that one run opens mostly have consecutive ids, so a
list of half a million users takes a few ranges.
"""

from bisect import bisect_right
from collections.abc import Iterable
from typing import TypedDict

from django.db.models import Q


class FindingRanges(TypedDict):
    """Ids of findings as ``[from, to]`` ranges, both ends included, with the first and the last id."""

    first: int
    last: int
    ranges: list[list[int]]


def from_ids(findings: Iterable[int]) -> FindingRanges | None:
    """The ranges of these ids, in any order; None: no finding."""
    ranges: list[list[int]] = []
    for key in sorted(findings):
        if ranges and key <= ranges[-1][1] + 1:
            ranges[-1][1] = key
        else:
            ranges.append([key, key])
    return FindingRanges(first=ranges[0][0], last=ranges[-1][1], ranges=ranges) if ranges else None


def contains(stored: FindingRanges | None, finding: int) -> bool:
    """Whether the message is about the finding with this id."""
    if stored is None:
        return False
    at = bisect_right(stored["ranges"], finding, key=lambda one: one[0]) - 1
    return at >= 0 and finding <= stored["ranges"][at][1]


def may_contain(finding: int) -> Q:
    """A condition on deliveries: all whose message is about the finding and few others; see :func:`contains`."""
    return Q(finding_ranges__first__lte=finding, finding_ranges__last__gte=finding)
