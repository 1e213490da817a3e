"""Duo's Admin API as its documentation has it: users with their devices and groups, paged by offset, and the log of
authentications. Answers have ``stat``; requests must carry a signature of version 5."""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from cii_project.tools.scripted_sources.server import Answer, Asked, json_answer
from integrations.services import Json, JsonObject

CODES = {
    401: (40103, "Invalid signature in request credentials"),
    403: (40301, "Access forbidden"),
    404: (40401, "Resource not found"),
    429: (42901, "Too Many Requests"),
    500: (50000, "Internal server error"),
}
CLOCK_SECONDS = 300


def duo_error(status: int, code: int = 0, text: str = "", headers: dict[str, str] | None = None) -> Answer:
    """An error as the Admin API answers it."""
    usual, message = CODES[status]
    return json_answer({"stat": "FAIL", "code": code or usual, "message": text or message}, status, headers)


def duo_user(key: str, login: str, **values: Json) -> JsonObject:
    """A user as ``GET /admin/v1/users`` shows one."""
    return {
        "user_id": key,
        "username": login,
        "alias1": None,
        "aliases": {},
        "created": 1_709_283_600,
        "email": "",
        "firstname": "",
        "lastname": "",
        "realname": "",
        "is_enrolled": False,
        "last_directory_sync": None,
        "last_login": 1_763_627_400,
        "notes": "",
        "status": "active",
        "groups": [],
        "phones": [],
        "tokens": [],
        "u2ftokens": [],
        "webauthncredentials": [],
        "desktop_authenticators": [],
        **values,
    }


def duo_phone(key: str, number: str, *capabilities: str, activated: bool = True) -> JsonObject:
    """A phone of a user."""
    return {
        "phone_id": key,
        "number": number,
        "extension": "",
        "type": "Mobile",
        "platform": "Apple iOS",
        "activated": activated,
        "capabilities": ["auto", *capabilities],
    }


def duo_event(key: str, seconds: int, result: str, country: str = "", ip: str = "") -> JsonObject:
    """An event of the log of authentications."""
    return {
        "event_type": "authentication",
        "factor": "duo_push",
        "result": result,
        "timestamp": seconds,
        "txid": f"tx-{seconds}",
        "user": {"key": key, "name": key},
        "access_device": {
            "ip": ip or None,
            "location": {"city": None, "country": country or None, "state": None},
        },
    }


@dataclass
class ScriptedDuo:
    """A customer. ``events``: of the log. ``forbidden``: prefixes of paths that answer 403. ``page``: the most of a page."""

    integration_key: str = "DISCRIPTED0123456789"
    secret_key: str = "scripted0123456789scripted0123456789abcd"  # noqa: S105  of a scripted server
    users: list[JsonObject] = field(default_factory=list)
    events: list[JsonObject] = field(default_factory=list)
    forbidden: tuple[str, ...] = ()
    page: int = 300
    base: str = ""

    def answer(self, asked: Asked) -> Answer:
        if problem := self._signature_problem(asked):
            return problem
        if asked.path.startswith(self.forbidden or ("\0",)):
            return duo_error(403)
        match asked.path:
            case "/admin/v1/users":
                return self._users(asked)
            case "/admin/v2/logs/authentication":
                return self._log(asked)
            case _:
                return duo_error(404)

    def _signature_problem(self, asked: Asked) -> Answer | None:
        given = base64.b64decode(asked.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        key, _, signature = given.partition(":")
        if key != self.integration_key:
            return duo_error(401, 40102, "Invalid integration key in request credentials")
        moment = asked.headers["Date"]
        # The zone “-0000” is UTC without a place (RFC 2822 §3.3).
        signed_at = parsedate_to_datetime(moment).replace(tzinfo=UTC)
        if abs((datetime.now(UTC) - signed_at).total_seconds()) > CLOCK_SECONDS:
            return duo_error(401, 40105, "Bad request timestamp")
        query = sorted((quote(name, "~"), quote(value, "~")) for name, value in asked.query.items())
        empty = hashlib.sha512(b"").hexdigest()
        host = asked.headers["Host"].partition(":")[0]
        text = [
            moment,
            asked.method,
            host,
            asked.path,
            "&".join("=".join(pair) for pair in query),
            empty,
            empty,
        ]
        wanted = hmac.new(self.secret_key.encode(), "\n".join(text).encode(), "sha512").hexdigest()
        return None if hmac.compare_digest(wanted, signature) else duo_error(401)

    def _users(self, asked: Asked) -> Answer:
        start, most = int(asked.query["offset"]), min(int(asked.query["limit"]), self.page)
        metadata: JsonObject = {"total_objects": len(self.users)}
        if start:
            metadata["prev_offset"] = max(start - most, 0)
        if start + most < len(self.users):
            metadata["next_offset"] = start + most
        value = {"stat": "OK", "metadata": metadata, "response": self.users[start : start + most]}
        return json_answer(value)

    def _log(self, asked: Asked) -> Answer:
        since, until = int(asked.query["mintime"]), int(asked.query["maxtime"])
        events = [each for each in self.events if since <= each["timestamp"] * 1000 <= until]
        events.sort(key=lambda each: int(each["timestamp"]), reverse=asked.query.get("sort") != "ts:asc")
        place = asked.query.get("next_offset", "").partition(",")[2]
        start = next((at for at, each in enumerate(events, 1) if each["txid"] == place), 0)
        shown = events[start : start + min(int(asked.query["limit"]), self.page)]
        metadata: JsonObject = {"total_objects": len(events)}
        if start + len(shown) < len(events):
            metadata["next_offset"] = [str(shown[-1]["timestamp"] * 1000), shown[-1]["txid"]]
        return json_answer({"stat": "OK", "response": {"authlogs": shown, "metadata": metadata}})
