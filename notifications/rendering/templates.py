"""Customised messages: Liquid templates (bounded in integrations/templating/liquid.py), their variables and defaults.

An author formats a message in Markdown (integrations/templating/markdown.py); what it prints of its data is text. The kind
that sends a message writes it in the formatting of its destination.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from liquid import BoundTemplate

from integrations.services import (
    ENGLISH,
    MessageText,
    TemplateDetails,
    TemplateError as MessageError,
    parse_markdown,
    parse_template,
    render_in_process,
    render_template,
    translator_for,
)

__all__ = [
    "MessageError",
    "check",
    "parse",
    "render",
    "render_or_default",
]


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
        "text.subject",
        "text",
        "What was found, in a few words",
        "no second sign-in step",
        ("user", "manager"),
    ),
    Variable(
        "text.found",
        "text",
        "What was found, in words for the reader",
        "Your account has no second sign-in step.",
    ),
    Variable("text.actions", "list of text", "What the reader can do", "Set up a second step."),
    Variable("text.action_list", "text", "The same as a list with bullets", "- Set up a second step."),
    Variable(
        "text.facts",
        "list of text",
        "What helps the reader to find it, such as the systems that it is about; each user's own",
        "No second step at: Okta",
        ("user", "manager"),
    ),
    Variable(
        "text.fact_list", "text", "The same, a line each", "No second step at: Okta", ("user", "manager")
    ),
    Variable("text.why", "text", "Why it matters", "A password can be guessed.", ("user",)),
    Variable("text.due_days", "number", "Days until it should be done", "7", ("user",)),
    Variable(
        "text.due_date",
        "text",
        "The date until which it should be done",
        "Saturday, 7 February 2026",
        ("user",),
    ),
    Variable("text.contact", "text", "Who the reader can ask", "your IT help desk", ("user", "manager")),
    Variable(
        "text.instructions_url",
        "text",
        "The page with instructions; empty where none is set",
        "https://intranet.example.com/mfa",
    ),
    Variable("text.signature", "text", "The signature; empty where none is set", "Your IT team"),
    Variable(
        "link", "text", "The check's page; empty without a base URL", "https://cii.example.com/checks/no-mfa/"
    ),
    Variable("published", "text", "When the event was made", "2026-01-31T06:00:00.000Z"),
    Variable("total", "number", "Newly failing users, over all batches", "3", ("list",)),
    Variable("batch.index", "number", "This batch, from 1", "1", ("list",)),
    Variable("batch.count", "number", "Number of batches", "1", ("list",)),
    Variable(
        "users",
        "list",
        "The newly failing users of this batch: login, display_name, and details by name",
        "",
        ("list",),
    ),
    Variable("user.login", "text", "The failing user", "kim@example.com", _DIRECT),
    Variable("user.display_name", "text", "The failing user's name", "Kim Doe", _DIRECT),
    Variable("user.details", "data by name", "Why the user fails", "lastSignIn", _DIRECT),
    Variable("user.trust_level", "text", "TRUSTED … UNTRUSTED or UNKNOWN", "UNTRUSTED", _DIRECT),
    Variable("recipient.kind", "text", "user or manager", "user", _DIRECT),
    Variable("recipient.login", "text", "The recipient's login", "kim@example.com", _DIRECT),
    Variable("recipient.email", "text", "Empty where unknown", "kim@example.com", _DIRECT),
    Variable("recipient.display_name", "text", "Empty where unknown", "Kim Doe", _DIRECT),
)

_NAME = "{{ recipient.display_name | default: recipient.login }}"
_ACTIONS = "{{ text.action_list }}"
_FACTS = "{{ text.fact_list }}"


def default_text(audience: str, language: str = ENGLISH) -> str:
    """The template of a message that nobody has customised."""
    translate = translator_for(language)
    if audience == "list":
        # The kind writes how many users there are, and lists them below the text.
        return (
            f"{{{{ text.found }}}}\n\n{translate('What to do:')}\n{_ACTIONS}\n{translate('Failing users')}:\n"
        )
    hello = translate("Hello {name},", name=_NAME)
    how = translate("How to do it: {url}", url="{{ text.instructions_url }}")
    instructions = "{% if text.instructions_url != '' %}" + how + "\n\n{% endif %}"
    ask = translate("If you have questions, ask {contact}.", contact="{{ text.contact }}")
    signature = "{% if text.signature != '' %}\n{{ text.signature }}\n{% endif %}"
    if audience == "user":
        account = translate("Account: {login}", login="{{ user.login }}")
        why = translate("Why it matters: {why}", why="{{ text.why }}")
        do = translate("What to do:")
        due = translate("Please do this by {date}.", date="{{ text.due_date }}")
        return (
            f"{hello}\n\n{{{{ text.found }}}}\n{account}\n{_FACTS}\n{why}\n\n{do}\n{_ACTIONS}\n"
            f"{instructions}{due} {ask}\n{signature}"
        )
    about = translate(
        "This is about {name} in your team (account {login}).",
        name="{{ user.display_name | default: user.login }}",
        login="{{ user.login }}",
    )
    do = translate("What you can do:")
    return f"{hello}\n\n{about} {{{{ text.found }}}}\n{_FACTS}\n{do}\n{_ACTIONS}\n{instructions}{ask}\n{signature}"


DEFAULTS: Mapping[str, str] = {audience: default_text(audience) for audience in ("list", "user", "manager")}


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


def sample(audience: str) -> dict[str, object]:
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
    data: dict[str, object] = {"check": check, "link": "", "published": "2026-01-31T06:00:00.000Z"}
    data["text"] = {
        "subject": "no second sign-in step",
        "found": "Your account has no second sign-in step.",
        "why": "A password can be guessed.",
        "actions": ["Set up a second step."],
        "action_list": "- Set up a second step.\n",
        "facts": ["No second step at: Okta"],
        "fact_list": "No second step at: Okta\n",
        "due_days": 7,
        "due_date": "Saturday, 7 February 2026",
        "contact": "your IT help desk",
        "instructions_url": "https://intranet.example.com/mfa",
        "signature": "Your IT team",
    }
    details = TemplateDetails({"createdAt": "2025-01-31T06:00:00Z"})
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
    return parse_template(text)


def check(text: str, audience: str, data: Mapping[str, object] | None = None) -> MessageText:
    """The text of a message, rendered in a separate process. Unknown variables are errors here, but not when the
    message is sent.

    ``data`` defaults to the sample. Raises :class:`MessageError` with line and column.
    """
    given = sample(audience) if data is None else data
    (message,) = render_in_process(text, "strict", [given], names=known_names(audience))
    return MessageText(parse_markdown(message))


def render(template: BoundTemplate, data: Mapping[str, object]) -> MessageText:
    """The message. Raises :class:`MessageError`."""
    return MessageText(parse_markdown(render_template(template, data)), _names_users(template))


@lru_cache(maxsize=256)
def _names_users(template: BoundTemplate) -> bool:
    """Whether the template of a list writes its users itself."""
    return "users" in template.analyze(include_partials=False).globals


def render_or_default(
    template: BoundTemplate | None, audience: str, data: Mapping[str, object], language: str = ENGLISH
) -> tuple[MessageText, str]:
    """The message and, if the customised one failed and the default replaces it, the reason."""
    reason = ""
    if template is not None:
        try:
            return render(template, data), ""
        except MessageError as error:
            reason = str(error)[:500]
    return render(default(audience, language), data), reason


@lru_cache(maxsize=256)
def default(audience: str, language: str = ENGLISH) -> BoundTemplate:
    """Parsed once: parsing costs twice what rendering does, and a run may write to a hundred thousand people."""
    return parse(default_text(audience, language))
