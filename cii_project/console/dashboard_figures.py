"""The dashboard's figures, from the results of the runs alone: no user and no finding is read."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

SEVERITIES = ("critical", "high", "medium", "low")
WEIGHTS: Mapping[str, int] = {"critical": 8, "high": 4, "medium": 2, "low": 1}


@dataclass(frozen=True, slots=True)
class Result:
    """What one run found for one check."""

    check: int
    severity: str
    evaluated: int
    failing: int
    at: datetime
    error: str = ""


def latest(results: Iterable[Result], until: datetime | None = None) -> dict[int, Result]:
    """Each check's last result without error (at or before ``until``). ``results`` are oldest first."""
    return {
        result.check: result for result in results if not result.error and (not until or result.at <= until)
    }


def score(results: Iterable[Result]) -> int | None:
    """0 to 100: each check's share of users who do not fail it, averaged by the weight of its severity.

    A check that judged nobody does not count. None: no check has judged anybody yet. The score is
    rounded down, so that 100 means that nobody fails anything.
    """
    total = earned = 0.0
    for result in results:
        if result.evaluated:
            weight = WEIGHTS[result.severity]
            total += weight
            earned += weight * (1 - min(result.failing, result.evaluated) / result.evaluated)
    return int(100 * earned / total + 1e-9) if total else None


def per_day(
    results: Sequence[Result], days: int, today: date
) -> tuple[list[date], dict[str, list[int | None]]]:
    """Failing users per severity at the end of each of the last ``days`` days, None before the first run.

    A day without a run has the figures of the day before; a user who fails two checks counts twice.
    """
    calendar = [today - timedelta(days=days - 1 - n) for n in range(days)]
    lines: dict[str, list[int | None]] = {severity: [] for severity in SEVERITIES}
    known: dict[int, Result] = {}
    waiting = list(results)
    for day in calendar:
        while waiting and waiting[0].at.date() <= day:
            result = waiting.pop(0)
            if not result.error:
                known[result.check] = result
        sums: dict[str, int] = defaultdict(int)
        for result in known.values():
            sums[result.severity] += result.failing
        for severity in SEVERITIES:
            lines[severity].append(sums[severity] if known else None)
    return calendar, lines


def since_first(
    days: list[date], lines: dict[str, list[int | None]]
) -> tuple[list[date], dict[str, list[int | None]]]:
    """The same without the days before the first run, so that a young installation's line fills the chart."""
    first = next(
        (n for n in range(len(days)) if any(values[n] is not None for values in lines.values())), None
    )
    begin = len(days) if first is None else first
    return days[begin:], {severity: values[begin:] for severity, values in lines.items()}


@dataclass(frozen=True, slots=True)
class Worse:
    check: int
    severity: str
    before: int
    now: int

    @property
    def more(self) -> int:
        return self.now - self.before


def got_worse(results: Sequence[Result], since: datetime, most: int = 5) -> list[Worse]:
    """The checks with more failing users now than at ``since``, the weightiest growth first."""
    then, now = latest(results, since), latest(results)
    found = [
        Worse(check, result.severity, then[check].failing, result.failing)
        for check, result in now.items()
        if check in then and result.failing > then[check].failing
    ]
    return sorted(found, key=lambda worse: -WEIGHTS[worse.severity] * worse.more)[:most]
