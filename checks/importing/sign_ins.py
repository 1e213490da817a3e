"""The last of several sign-ins that a source keeps apart: by password, by key, interactive or not. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime

from checks.importing.rules import ReadingRules, Refused, Unread
from checks.importing.values import TimeConverters

# What a value says, the more decisive the greater: nothing, never, a time in the future, a time.
UNKNOWN, NEVER, FUTURE, TIME = 0, 1, 2, 3
# A value that cannot be read decides, so that it is reported.
UNREADABLE = 4


class SignIns:
    """Compares the sign-ins of one file's records by the rules of its source. ``now``: the start of the import."""

    def __init__(self, rules: ReadingRules, now: datetime | None = None) -> None:
        self._read = TimeConverters(rules, now or datetime.now(UTC)).sign_in

    def weight(self, value: object) -> tuple[int, str]:
        """How much a value says, and its time as it is stored."""
        try:
            moment = self._read(value)
        except Refused:
            return UNREADABLE, ""
        except Unread:
            return FUTURE, ""
        return (UNKNOWN, "") if moment is None else (TIME, moment) if moment else (NEVER, "")

    def latest(self, values: Iterable[object]) -> object:
        """The value, as the source wrote it, that says when the account signed in last. Expects one value or more."""
        return max(values, key=self.weight)

    def is_never(self, value: object) -> bool:
        return self.weight(value)[0] == NEVER

    def is_decided(self, value: object) -> bool:
        """Whether a value is a time, or cannot be read."""
        return self.weight(value)[0] >= TIME
