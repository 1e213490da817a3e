"""Whether a value says that something happened, in any order of day and month. Pure.

A column such as ``deletedDateTime`` says by a time that the account is deleted, and by a sentinel that it is not.
"""

from datetime import UTC, datetime

from checks.importing.rules import ReadingRules, Refused
from checks.importing.times import SENTINELS_FROM
from checks.importing.values import TimeConverters, Value

# Without an order of dates a sentinel is known in each order; the other dates are refused as ambiguous. The time of
# the import does not matter, since the moment may lie ahead.
_read = TimeConverters(ReadingRules(), datetime(2000, 1, 1, tzinfo=UTC)).status_changed


def is_moment(value: Value) -> bool:
    """Whether a value is a time that is no sentinel."""
    try:
        moment = _read(value)
    except Refused:
        # A date of an unknown order or a count of seconds, unless it is a word or consists of zeros.
        text = str(value) if isinstance(value, str | int) else ""
        return any(sign.isdigit() and sign != "0" for sign in text)
    return moment is not None and moment < SENTINELS_FROM
