"""The figures of dashboard and report, from the results of the runs alone: no user and no finding is read."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from checks.models import Severity

SEVERITY_WEIGHTS: Mapping[str, int] = {"critical": 8, "high": 4, "medium": 2, "low": 1}


@dataclass(frozen=True, slots=True)
class CheckFigures:
    """The result of one run for one check."""

    check: int
    severity: str
    evaluated: int
    failing: int
    at: datetime
    error: str = ""
    unknown: int = 0
    stale: int = 0

    @property
    def missing(self) -> int:
        """The users that the check could not evaluate: a value is unknown or too old."""
        return self.unknown + self.stale

    @property
    def known(self) -> int:
        """The users whose result is known: they pass or fail."""
        return self.evaluated - self.unknown

    @property
    def passing(self) -> float:
        """The share of :attr:`known` users who pass, 0 to 1; there must be some."""
        return 1 - min(self.failing, self.known) / self.known


def latest(results: Iterable[CheckFigures], until: datetime | None = None) -> dict[int, CheckFigures]:
    """Each check's last result without error (at or before ``until``). ``results`` are oldest first."""
    return {
        result.check: result for result in results if not result.error and (not until or result.at <= until)
    }


def score(results: Iterable[CheckFigures]) -> int | None:
    """The posture score, 0 to 100: the mean over the checks of the share of users who pass among those who
    pass or fail, weighted by severity.

    A check of which every user is unknown does not count, nor does one without users. None: no check counts. The score is
    rounded down, so that 100 means that nobody fails anything.
    """
    shares = score_shares(results)
    # The parts of a whole number may add up to a little less.
    return int(sum(share.points for share in shares) + 1e-9) if shares else None


@dataclass(frozen=True, slots=True)
class ScoreShare:
    """The contribution of one check to the score, in points of 100. ``most``: if nobody failed it;
    ``before``: at the earlier moment, None if the check did not count then."""

    result: CheckFigures
    weight: int
    most: float
    points: float
    before: float | None = None

    @property
    def lost(self) -> float:
        return self.most - self.points

    @property
    def passing_percent(self) -> float:
        return 100 * self.result.passing

    @property
    def change(self) -> float | None:
        """Points more than at the earlier moment."""
        return None if self.before is None else self.points - self.before

    @property
    def loss(self) -> float | None:
        """Points less than at the earlier moment."""
        return None if self.change is None else -self.change


def score_shares(results: Iterable[CheckFigures], before: Iterable[CheckFigures] = ()) -> list[ScoreShare]:
    """The score's parts, those that cost most points first; their points add up to the score before it is rounded down."""
    earlier = {share.result.check: share.points for share in score_shares(before)} if before else {}
    counted = [result for result in results if result.known > 0]
    total = sum(SEVERITY_WEIGHTS[result.severity] for result in counted)
    shares = []
    for result in counted:
        weight = SEVERITY_WEIGHTS[result.severity]
        most = 100 * weight / total
        shares.append(ScoreShare(result, weight, most, most * result.passing, earlier.get(result.check)))
    return sorted(shares, key=lambda share: (-share.lost, -share.weight, share.result.check))


def per_day(
    results: Sequence[CheckFigures], days: int, today: date
) -> tuple[list[date], dict[str, list[int | None]]]:
    """Open findings per severity at the end of each of the last ``days`` days, None before the first run.

    A day without a run has the figures of the day before; a user who fails two checks counts twice.
    """
    calendar = [today - timedelta(days=days - 1 - n) for n in range(days)]
    lines: dict[str, list[int | None]] = {severity: [] for severity in Severity.values}
    known: dict[int, CheckFigures] = {}
    waiting = list(results)
    for day in calendar:
        while waiting and waiting[0].at.date() <= day:
            result = waiting.pop(0)
            if not result.error:
                known[result.check] = result
        sums: dict[str, int] = defaultdict(int)
        for result in known.values():
            sums[result.severity] += result.failing
        for severity in Severity.values:
            lines[severity].append(sums[severity] if known else None)
    return calendar, lines


def since_first(
    days: list[date], lines: dict[str, list[int | None]]
) -> tuple[list[date], dict[str, list[int | None]]]:
    """The same without the days before the first run, so that a young installation's line fills the chart."""
    first = next(
        (n for n in range(len(days)) if any(values[n] is not None for values in lines.values())), None
    )
    start = len(days) if first is None else first
    return days[start:], {severity: values[start:] for severity, values in lines.items()}


@dataclass(frozen=True, slots=True)
class WorseCheck:
    check: int
    severity: str
    before: int
    now: int

    @property
    def more(self) -> int:
        return self.now - self.before


def got_worse(results: Sequence[CheckFigures], since: datetime, most: int = 5) -> list[WorseCheck]:
    """The checks with more failing users now than at ``since``, the weightiest growth first."""
    then, now = latest(results, since), latest(results)
    found = [
        WorseCheck(check, result.severity, then[check].failing, result.failing)
        for check, result in now.items()
        if check in then and result.failing > then[check].failing
    ]
    return sorted(found, key=lambda worse: -SEVERITY_WEIGHTS[worse.severity] * worse.more)[:most]
