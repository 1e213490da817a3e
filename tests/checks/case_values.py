"""The words in which the cases of a check are written (tests/checks/cases/)."""

from datetime import datetime
from typing import Any

from checks.catalogue.definition import ALWAYS
from checks.engine.outcomes import Outcome
from tests.checks.factories import MICROSECOND, days_ago

__all__ = ["ALWAYS", "FAILS", "GUEST", "NHI", "OUTSIDE", "PASSES", "UNKNOWN", "Case", "exactly", "over"]

FAILS, PASSES, UNKNOWN, OUTSIDE = Outcome.FAIL, Outcome.PASS, Outcome.UNKNOWN, Outcome.OUT_OF_SCOPE
NHI = {"nhi": True, "internal": False}
GUEST = {"guest": True, "internal": False}

# The facts that differ from those of a user with nothing wrong (factories.make_user), the settings that differ from the
# defaults, and the outcome.
Case = tuple[dict[str, Any], dict[str, Any], Outcome]


def exactly(days: int) -> datetime:
    """So many days before the run: not yet too old."""
    return days_ago(days)


def over(days: int) -> datetime:
    """A microsecond more than so many days before the run."""
    return days_ago(days) - MICROSECOND
