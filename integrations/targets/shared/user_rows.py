"""An event as rows of a table, for log stores and warehouses. Pure."""

import json
from collections.abc import Iterable

from integrations.json_types import Json, JsonMapping, JsonObject
from integrations.target_data import Event
from integrations.targets.shared.event_users import users_of
from integrations.targets.shared.json_answers import compact


def user_rows(event: Event, *, max_details: int | None = None) -> list[JsonObject]:
    """A row for each user of the event, in its order; one row with an empty ``Login`` if it has no users.

    ``Details`` is why the user fails, or how the finding was resolved, by the contract's keys, each value as JSON data. None of the names is
    reserved by Log Analytics (``Type``, ``Title``, ``TenantId``, ``id``). ``max_details``: the highest number of bytes
    of one ``Details``.
    """
    detail = event["detail"]
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
        {**common, "Login": login, "Details": _within(_named(item.get("details", ())), max_details), **rest}
        for login, item in users_of(detail) or [("", {})]
    ]


def _named(pairs: Iterable[JsonMapping]) -> JsonObject:
    return {str(pair["key"]): _data(pair["value"]) for pair in pairs}


def _within(details: JsonObject, most: int | None) -> JsonObject:
    """The details, or as many of the shortest as fit into ``most`` bytes of JSON, then with ``truncated``."""
    if most is None or len(compact(details)) <= most:
        return details
    kept: JsonObject = {"truncated": True}
    for name, value in sorted(details.items(), key=lambda pair: len(compact(pair))):
        if len(compact({**kept, name: value})) > most:
            break
        kept[name] = value
    return kept


def _data(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError:
        return text
