"""A webhook's body from a Liquid template that renders JSON from an event, for receivers with another format.

Pure. Without a template the body is the contract's event. See docs/webhooks.md, "A body of your own".
"""

import json
from collections.abc import Sequence
from functools import lru_cache

from liquid import BoundTemplate

from integrations.formats import bounded_json
from integrations.json_types import Json, JsonMapping, JsonObject
from integrations.target_data import Event
from integrations.targets.shared.event_users import users_of
from integrations.templating import liquid, template_process
from integrations.templating.liquid import TemplateError

# The envelope's keys as Liquid can write them.
ROOTS = (
    "version",
    "id",
    "detail_type",
    "source",
    "account",
    "time",
    "region",
    "resources",
    "detail",
    "users",
)
_HOSTILE = 'kim"\\\n{{ 7 }}@example.com'
_ENVELOPE = {
    "version": "0",
    "id": "11111111-1111-4111-8111-111111111111",
    "source": "44444444-4444-4444-8444-444444444444__1c2d3e4f",
    "account": "000000000000",
    "time": "2026-01-31T06:00:00Z",
    "region": "self-hosted",
    "resources": [],
}
_CHECK = {
    "id": "22222222-2222-4222-8222-222222222222",
    "checkId": "no-mfa",
    "title": "No MFA Configured",
    "severity": "critical",
    "description": ["The user has no active MFA factor."],
    "recommendedActions": ["Enrol a second factor."],
    "published": "2026-01-31T06:00:00.000Z",
    "checkTags": ["pci"],
    "checkTopics": ["MFA"],
    "checkScope": "USER",
    "frameworks": ["NIST-800-53:IA-2(1)"],
}


def _details(login: str) -> JsonObject:
    return {"login": login, "details": [{"key": "createdAt", "value": '"2025-01-31T06:00:00Z"'}]}


def samples(login: str = "kim@example.com") -> Sequence[Event]:
    """An event of each detail-type, about ``login``; the first is FAILED_CHECK."""
    users = [_details(login), _details("lee@example.com")]
    logins = [str(user["login"]) for user in users]
    batch = {"index": 1, "count": 1, "totalUsers": 2}
    recipient = {"kind": "user", "login": login, "email": "kim@example.com", "displayName": "Kim Doe"}
    failed = {**_CHECK, "usersFailing": logins, "loginDetails": users, "batch": batch}
    resolved = {**_CHECK, "usersResolved": logins, "loginDetails": users, "stillFailing": 0, "batch": batch}
    direct = {
        **_CHECK, "login": login, "loginDetails": users[:1], "userTrustLevel": "UNTRUSTED",
        "recipient": recipient, "message": f"Hello {login}",
    }  # fmt: skip
    connectivity = {"id": _CHECK["id"], "title": "Webhook connectivity test", "test": True}
    details: dict[str, JsonMapping] = {
        "FAILED_CHECK": failed,
        "DIRECT_MESSAGE": direct,
        "CHECK_RESOLVED": resolved,
        "WebhookTest": connectivity,
    }
    return [{**_ENVELOPE, "detail-type": name, "detail": detail} for name, detail in details.items()]


def check_template(text: str) -> Json:
    """The JSON value that the template renders from a FAILED_CHECK about two sample users, in a separate process.

    Raises :class:`~integrations.templating.liquid.TemplateError` unless the template renders JSON from every kind of
    event, including one whose logins contain quotes and line breaks.
    """
    events = (*samples(), *samples(_HOSTILE))
    names: dict[str, set[str]] = {root: set() for root in ROOTS}
    try:
        made = template_process.render_in_process(
            text, "body", [data_of(event) for event in events], names=names
        )
    except TemplateError as error:
        if error.line:
            raise
        raise TemplateError(f"For {events[error.number]['detail-type']}: {error}") from error
    values = []
    for event, each in zip(events, made, strict=True):
        try:
            values.append(_value(each))
        except TemplateError as error:
            raise TemplateError(f"For {event['detail-type']}: {error}") from error
    return values[0]


def render_body(text: str, event: Event) -> Json:
    """The JSON value that the template renders from the event. Raises ``TemplateError``."""
    return _value(liquid.render_template(_template(text), data_of(event)))


def _value(made: str) -> JsonObject | list[Json]:
    try:
        value = bounded_json.loads(made, parse_constant=_refused)
    except ValueError as error:
        raise TemplateError(
            f"The template renders no valid JSON ({error}). Write values by the filter json, which sets the quotes: "
            "{{ detail.title | json }}."
        ) from error
    if not isinstance(value, dict | list):
        raise TemplateError("The template renders neither an object {…} nor a list […].")
    return value


def data_of(event: Event) -> JsonObject:
    """The template's variables: the envelope's, and ``users``: login, and details by name, decoded."""
    users = [
        {"login": login, "details": _decoded(item.get("details", ()))}
        for login, item in users_of(event["detail"])
    ]
    return {**{key.replace("-", "_"): value for key, value in event.items()}, "users": users}


def preview_body(text: str) -> str:
    """The body of a FAILED_CHECK about two sample users, indented. Raises ``TemplateError``."""
    return json.dumps(check_template(text), ensure_ascii=False, indent=2)


def _decoded(pairs: Sequence[JsonMapping]) -> JsonObject:
    return {str(pair["key"]): json.loads(pair["value"]) for pair in pairs}


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


@lru_cache(maxsize=64)
def _template(text: str) -> BoundTemplate:
    return liquid.parse_template(text, liquid.BODY)
