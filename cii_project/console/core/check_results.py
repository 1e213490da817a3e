"""The last result of each check, and the users that it could not evaluate."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import OuterRef, Subquery

from checks.models import Check, CheckResult
from checks.services import cause_texts, causes_text, reported_causes


@dataclass(frozen=True, slots=True)
class UnknownUsers:
    """The users that a check could not evaluate. ``count``: users with unknown or too old values, of
    ``evaluated``. ``why``: in one line; ``causes``: one phrase each, the most frequent first."""

    count: int
    evaluated: int
    why: str
    causes: Sequence[str]

    @property
    def are_most(self) -> bool:
        """Whether nobody failing says little: half of the users or more are unknown."""
        return 2 * self.count >= self.evaluated > 0


def unknown_users(result: CheckResult | None) -> UnknownUsers | None:
    """None if the check could evaluate every user, or did not run."""
    if result is None or result.error or not (result.unknown or result.stale):
        return None
    causes = reported_causes(result.unknown_causes)
    return UnknownUsers(
        result.unknown + result.stale, result.evaluated, causes_text(causes), cause_texts(causes)
    )


def last_results() -> dict[int, CheckResult]:
    """Check id → its latest result, of any run. Two queries."""
    latest = CheckResult.objects.filter(check_ref=OuterRef("pk"), finished_at__isnull=False).order_by("-id")
    ids = Check.objects.annotate(last=Subquery(latest.values("id")[:1])).values("last")
    return {result.check_ref_id: result for result in CheckResult.objects.filter(id__in=ids)}
