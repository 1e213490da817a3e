"""Customised messages: Liquid templates (bounded in integrations/liquid.py), their variables and defaults.

Markup of a destination (Slack's, HTML) is made inert by the kind that renders the message, not here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from liquid import BoundTemplate

from integrations import liquid
from integrations.liquid import MAX_OUTPUT, MAX_SOURCE, render
from integrations.liquid import TemplateError as MessageError

__all__ = ["MAX_OUTPUT", "MAX_SOURCE", "MessageError", "check", "parse", "render", "render_or_default"]


@dataclass(frozen=True, slots=True)
class Variable:
    """One thing that a template may say; ``audiences`` in which it exists."""

    name: str
    type: str
    help: str
    example: str
    audiences: tuple[str, ...] = ("list", "user", "manager")


_DIRECT = ("user", "manager")
VARIABLES: Sequence[Variable] = (
    Variable("check.title", "text", "The check's title", "No MFA Configured"),
    Variable("check.slug", "text", "The check's name in files and addresses", "no-mfa"),
    Variable("check.severity", "text", "critical, high, medium or low", "critical"),
    Variable("check.description", "list of text", "Paragraphs", "The user has no active factor."),
    Variable("check.recommended_actions", "list of text", "What to do", "Enrol a second factor."),
    Variable("check.tags", "list of text", "The check's tags", "pci"),
    Variable("check.topics", "list of text", "The check's topics", "MFA"),
    Variable("check.frameworks", "list of text", "References", "NIST-800-53:IA-2(1)"),
    Variable(
        "link", "text", "The check's page; empty without a base URL", "https://cii.example.com/checks/no-mfa/"
    ),
    Variable("published", "text", "When the event was made", "2026-01-31T06:00:00.000Z"),
    Variable("total", "number", "Newly failing users, over all batches", "3", ("list",)),
    Variable("batch.index", "number", "This batch, from 1", "1", ("list",)),
    Variable("batch.count", "number", "Number of batches", "1", ("list",)),
    Variable(
        "users", "list", "The newly failing users of this batch: login, and details by name", "", ("list",)
    ),
    Variable("user.login", "text", "The failing user", "kim@example.com", _DIRECT),
    Variable("user.display_name", "text", "The failing user's name", "Kim Doe", _DIRECT),
    Variable("user.details", "data by name", "Why the user fails", "lastSignIn", _DIRECT),
    Variable("user.trust_level", "text", "TRUSTED … UNTRUSTED or UNKNOWN", "UNTRUSTED", _DIRECT),
    Variable("recipient.kind", "text", "user or manager", "user", _DIRECT),
    Variable("recipient.login", "text", "Who is written to", "kim@example.com", _DIRECT),
    Variable("recipient.email", "text", "Empty where unknown", "kim@example.com", _DIRECT),
    Variable("recipient.display_name", "text", "Empty where unknown", "Kim Doe", _DIRECT),
)

DEFAULTS: Mapping[str, str] = {
    "list": (
        "{{ check.title }} ({{ check.severity }}): {{ total }} newly failing"
        "{% if total == 1 %} user{% else %} users{% endif %}.\n"
        "{% for user in users limit: 20 %}- {{ user.login }}\n{% endfor %}"
        "{% if users.size > 20 %}… and more; the event lists all of them.\n{% endif %}"
        "{% for action in check.recommended_actions %}{{ action }}\n{% endfor %}"
    ),
    "user": (
        "Hello {{ recipient.display_name | default: recipient.login }},\n\n"
        "your account {{ user.login }} fails the check “{{ check.title }}” ({{ check.severity }}).\n\n"
        "{% for action in check.recommended_actions %}- {{ action }}\n{% endfor %}"
    ),
    "manager": (
        "Hello {{ recipient.display_name | default: recipient.login }},\n\n"
        "the account {{ user.login }}, which you are the manager of, fails the check "
        "“{{ check.title }}” ({{ check.severity }}).\n\n"
        "{% for action in check.recommended_actions %}- {{ action }}\n{% endfor %}"
    ),
}


class _Details(dict[str, Any]):
    """Details differ from user to user: one that is missing is empty, also where unknown names are errors."""

    def __missing__(self, key: str) -> str:
        return ""


# --- Data -------------------------------------------------------------------------------------------
def known_names(audience: str) -> dict[str, set[str]]:
    """Root → its allowed properties (empty: anything goes)."""
    names: dict[str, set[str]] = {}
    for variable in VARIABLES:
        if audience in variable.audiences:
            root, _, rest = variable.name.partition(".")
            names.setdefault(root, set())
            if rest:
                names[root].add(rest)
    return names


def sample(audience: str) -> dict[str, Any]:
    """Data of the right shape, for a check without a failing user."""
    check = {
        "title": "No MFA Configured",
        "slug": "no-mfa",
        "severity": "critical",
        "description": ["The user has no active MFA factor."],
        "recommended_actions": ["Enrol a second factor."],
        "tags": ["pci"],
        "topics": ["MFA"],
        "frameworks": ["NIST-800-53:IA-2(1)"],
    }
    data: dict[str, Any] = {"check": check, "link": "", "published": "2026-01-31T06:00:00.000Z"}
    details = _Details({"createdAt": "2025-01-31T06:00:00Z"})
    if audience == "list":
        users = [{"login": "kim@example.com", "details": details}]
        return {**data, "total": 1, "batch": {"index": 1, "count": 1}, "users": users}
    person = {"login": "kim@example.com", "display_name": "Kim Doe"}
    return {
        **data,
        "user": {**person, "details": details, "trust_level": "UNTRUSTED"},
        "recipient": {**person, "kind": audience, "email": "kim@example.com"},
    }


# --- Parse and render -------------------------------------------------------------------------------
def parse(text: str) -> BoundTemplate:
    """A template that leaves unknown variables empty. Raises :class:`MessageError`."""
    return liquid.parse(text)


def check(text: str, audience: str, data: Mapping[str, Any] | None = None) -> str:
    """What a message would read like; unknown variables are errors, unlike when it is sent.

    ``data`` defaults to the sample. Raises :class:`MessageError` with line and column.
    """
    template = liquid.parse(text, liquid.STRICT)
    liquid.check_names(template, text, known_names(audience))
    return render(template, sample(audience) if data is None else data)


def render_or_default(
    template: BoundTemplate | None, audience: str, data: Mapping[str, Any]
) -> tuple[str, str]:
    """The message and, where the customised one failed and the default stands in for it, why."""
    if template is not None:
        try:
            return render(template, data), ""
        except MessageError as error:
            return render(default(audience), data), str(error)[:500]
    return render(default(audience), data), ""


@cache
def default(audience: str) -> BoundTemplate:
    """Parsed once: parsing costs twice what rendering does, and a run may write to a hundred thousand people."""
    return parse(DEFAULTS[audience])


def details_of(login_detail: Mapping[str, Any]) -> dict[str, Any]:
    """A loginDetails item's details by name, their JSON text decoded."""
    return _Details({item["key"]: json.loads(item["value"]) for item in login_detail["details"]})
