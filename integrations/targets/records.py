"""One row a user, for tables: what log stores and warehouses keep of an event. Pure."""

import json
from typing import Any

from integrations.targets.base import Event


def records(event: Event) -> list[dict[str, Any]]:
    """A row for each user of the event, in its order; an event without users makes one with an empty ``Login``.

    ``Details`` holds why the user fails, by the contract's keys, each value as JSON data. No name is one that
    Log Analytics reserves (``Type``, ``Title``, ``TenantId``, ``id``).
    """
    detail = event["detail"]
    details = {str(item.get("login")): item.get("details", []) for item in detail.get("loginDetails", ())}
    logins = detail.get("usersFailing", [detail["login"]] if "login" in detail else [])
    common = {
        "TimeGenerated": detail.get("published", event.get("time", "")),
        "EventId": event["id"],
        "EventType": event["detail-type"],
        "EventSource": event["source"],
        "CheckId": detail.get("checkId", ""),
        "CheckTitle": detail.get("title", ""),
        "Severity": detail.get("severity", ""),
    }
    rest = {
        "CheckTags": detail.get("checkTags", []),
        "Frameworks": detail.get("frameworks", []),
        "RunId": detail.get("runId", ""),
        "ReferenceUrl": detail.get("referenceUrl", ""),
        "Test": bool(detail.get("test", False)),
    }
    return [
        {**common, "Login": login, "Details": _named(details.get(login, ())), **rest}
        for login in logins or [""]
    ]


def _named(pairs: Any) -> dict[str, Any]:
    return {str(pair["key"]): _data(pair["value"]) for pair in pairs}


def _data(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
