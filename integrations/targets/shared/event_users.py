"""The users of an event with their details. Pure."""

from itertools import chain, repeat

from integrations.json_types import JsonMapping


def users_of(detail: JsonMapping) -> list[tuple[str, JsonMapping]]:
    """Login and ``loginDetails`` item of each user, in the event's order; a missing item is empty.

    They are paired by position, as in the contract: two users can have the same login.
    """
    # A resolved event has its users under another key, so that a reader of usersFailing finds none.
    logins = detail.get("usersResolved") or detail.get("usersFailing") or []
    if not logins and "login" in detail:
        logins = [detail["login"]]
    items: list[JsonMapping] = detail.get("loginDetails", [])
    return list(zip(logins, chain(items, repeat({})), strict=False))
