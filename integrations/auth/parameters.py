"""HTTP parameters of a target, from their stored form to the values that are sent. Pure.

They are stored in two parts: ``settings["parameters"]["header"]`` maps a name to its value, or to ``{"secret": True}``
if the value is at the same place of the secrets.
"""

from collections.abc import Mapping
from typing import TypedDict
from urllib.parse import urlencode

from django.conf import settings

from integrations.json_types import Json, JsonMapping
from integrations.target_data import Target
from integrations.transport import http

WHERE = ("header", "query", "body")
Value = str | int | float | bool


def parameters_of(given: JsonMapping, secrets: JsonMapping) -> dict[str, dict[str, Value]]:
    """The parameters of a part of a document (the target itself or its authorization), secrets in place."""
    plain, sealed = given.get("parameters", {}), secrets.get("parameters", {})
    return {
        where: {
            name: sealed.get(where, {}).get(name, "") if isinstance(value, Mapping) else value
            for name, value in plain.get(where, {}).items()
        }
        for where in WHERE
    }


def to_texts(parameters: Mapping[str, Value]) -> dict[str, str]:
    """The values as headers, query strings and forms contain them: ``true`` and ``false`` in lower case."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in parameters.items()
    }


def with_query(url: str, query: Mapping[str, str]) -> str:
    """The URL with ``query`` added to its query string."""
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


def secret_texts(secrets: Json) -> list[str]:
    """Every text in nested secrets, for masking."""
    if isinstance(secrets, Mapping):
        return [text for value in secrets.values() for text in secret_texts(value)]
    return [str(secrets)]


def user_agent() -> str:
    """The value of the header ``User-Agent``."""
    return f"{settings.PRODUCT}/{settings.VERSION}"


def allows_plain_http(given: JsonMapping) -> bool:
    """Whether the settings of a target allow ``http://`` to hosts outside ``ALLOWED_NETWORKS``."""
    return bool(given.get("allow_plain_http"))


class Timeouts(TypedDict):
    """Seconds to connect, and to send the request and receive the answer."""

    connect: float
    answer: float


def timeouts(target: Target) -> Timeouts:
    """The timeouts that the target sets, or the defaults."""
    given = target.settings.get("timeouts", {})
    return {
        "connect": given.get("connect", http.CONNECT_SECONDS),
        "answer": given.get("answer", http.ANSWER_SECONDS),
    }
