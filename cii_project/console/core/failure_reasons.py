"""Why a user fails a check, as pages say it: the contract's details as labels and texts."""

import json
from datetime import datetime

from cii_project.console.core.viewer_zone import shown_day, shown_time
from integrations.services import JsonMapping

_ACRONYMS = frozenset({"mfa", "hr", "id", "ip"})


def failure_reasons(item: JsonMapping) -> list[tuple[str, str]]:
    """The contract's details of one user as label and text for a person."""
    return [
        (detail_label(detail["key"]), detail_text(json.loads(detail["value"])))
        for detail in item["details"]
        if detail["key"] != "providersFailingChecks"
    ]


def detail_label(key: str) -> str:
    """``lastSignIn`` → ``Last sign in``, ``sourcesWithoutMfa`` → ``Sources without MFA``."""
    words = "".join(f" {char.lower()}" if char.isupper() else char for char in key).split()
    first, *rest = [word.upper() if word in _ACRONYMS else word for word in words] or [""]
    return " ".join([first if first.isupper() else first.capitalize(), *rest])


def detail_text(value: object) -> str:
    """A value of a detail in words: times to the minute, lists with commas, none as “none”."""
    if value is None or value == [] or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(detail_text(one) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{detail_label(str(key)).lower()} {detail_text(one)}" for key, one in value.items())
    if isinstance(value, str) and len(value) >= 16 and value[4:5] == "-" and value[10:11] == "T":
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return value
        # Midnight in UTC is how files write a day without a time: it stays that day in every zone.
        return shown_day(moment.date()) if (moment.hour, moment.minute) == (0, 0) else shown_time(moment)
    return str(value)
