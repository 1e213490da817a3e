"""HTTP parameters of a target: what is stored becomes what is sent. Pure.

Stored in two parts: ``settings["parameters"]["header"]`` maps a name to its value, or to ``{"secret": True}`` where
the value stands, unsealed, at the same place of the secrets.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.conf import settings

from integrations import http

if TYPE_CHECKING:
    from integrations.targets.base import Target

WHERE = ("header", "query", "body")
Value = str | int | float | bool


def of_target(given: Mapping[str, Any], secrets: Mapping[str, Any]) -> dict[str, dict[str, Value]]:
    """The parameters of a part of a document (the target itself or its authorization), secrets in place."""
    plain, sealed = given.get("parameters", {}), secrets.get("parameters", {})
    return {
        where: {
            name: sealed.get(where, {}).get(name, "") if isinstance(value, Mapping) else value
            for name, value in plain.get(where, {}).items()
        }
        for where in WHERE
    }


def as_texts(parameters: Mapping[str, Value]) -> dict[str, str]:
    """As headers, query strings and forms hold them: ``true`` and ``false`` in lower case."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in parameters.items()
    }


def with_query(url: str, query: Mapping[str, str]) -> str:
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


def secret_texts(secrets: Any) -> list[str]:
    """Every text in nested secrets, to be blotted out of what is kept."""
    if isinstance(secrets, Mapping):
        return [text for value in secrets.values() for text in secret_texts(value)]
    return [str(secrets)]


def user_agent() -> str:
    return f"{settings.PRODUCT}/{settings.VERSION}"


def timeouts(target: "Target") -> dict[str, float]:
    """Seconds to connect and to answer."""
    given = target.settings.get("timeouts", {})
    return {
        "connect": given.get("connect", http.CONNECT_SECONDS),
        "answer": given.get("answer", http.ANSWER_SECONDS),
    }
