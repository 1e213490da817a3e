"""Customised messages: Liquid templates by authors whom nobody needs to trust.

Liquid reaches nothing but the data it is given. What is left to an ill-meant template is size and time,
and both are bounded here: the source, the output, loops, intermediate values and the wall clock. Markup
of a destination (Slack's, HTML) is made inert by the kind that renders the message, not here.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, wraps
from typing import Any

from liquid import BoundTemplate, Environment, StrictUndefined, Undefined
from liquid.exceptions import LiquidError

MAX_SOURCE = 16_384  # characters
MAX_OUTPUT = 65_536  # bytes
MAX_VALUE = 1_000_000  # characters or items of one intermediate value
MAX_SECONDS = 2.0


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


class MessageError(Exception):
    """What is wrong with a template, and where: ``line`` and ``column`` from 1, None where unknown."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        place = f"Line {line}, column {column}: " if line else ""
        super().__init__(f"{place}{message}")
        self.message, self.line, self.column = message, line, column


class _Details(dict[str, Any]):
    """Details differ from user to user: one that is missing is empty, also where unknown names are errors."""

    def __missing__(self, key: str) -> str:
        return ""


# --- The bounded environment ------------------------------------------------------------------------
_deadline: ContextVar[float] = ContextVar("liquid_deadline", default=float("inf"))


class _TooMuch(LiquidError):
    def __init__(self, message: str) -> None:
        super().__init__(message, token=None)


def _check(value: object) -> None:
    if time.monotonic() > _deadline.get():
        raise _TooMuch(f"The template takes longer than {MAX_SECONDS:g} seconds.")
    if isinstance(value, str | list | tuple | range) and len(value) > MAX_VALUE:
        raise _TooMuch(f"A value grows beyond {MAX_VALUE:,} characters or items.")


def _grown(name: str, args: tuple[Any, ...]) -> int:
    """How long the result of the two filters that multiply may become."""
    if name == "replace" and len(args) > 2:
        text, old, new = (str(part) for part in args[:3])
        return text.count(old) * len(new)
    if name == "join" and args:
        items = args[0] if isinstance(args[0], list | tuple | range) else str(args[0])
        return len(items) * len(str(args[1]) if len(args) > 1 else " ")
    return 0


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def guard(*args: Any, **kwargs: Any) -> Any:
        for value in args:
            _check(value)
        if _grown(name, args) > MAX_VALUE:
            raise _TooMuch(f"A value grows beyond {MAX_VALUE:,} characters.")
        result = function(*args, **kwargs)
        _check(result)
        return result

    return guard


class _Bounded(Environment):
    block_nesting_limit = 15
    context_depth_limit = 15
    loop_iteration_limit = 50_000
    local_namespace_limit = MAX_VALUE
    output_stream_limit = MAX_OUTPUT


def _environment(undefined: type[Undefined]) -> Environment:
    environment = _Bounded(undefined=undefined)
    for tag in ("include", "render"):  # there are no other templates
        del environment.tags[tag]
    environment.filters = {name: _bounded(name, f) for name, f in environment.filters.items()}
    return environment


_STRICT = _environment(StrictUndefined)
_LENIENT = _environment(Undefined)


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
def _located(error: LiquidError) -> MessageError:
    try:
        context = error.context()
    except ValueError:  # the token stands at the very end of the text
        context = None
    text = str(error.message or "The template cannot be read.")
    if not text.endswith("."):
        text += "."
    return MessageError(text, context[0], context[1] + 1) if context else MessageError(text)


def _place(source: str, index: int) -> tuple[int, int]:
    line = source.count("\n", 0, index) + 1
    return line, index - (source.rfind("\n", 0, index) + 1) + 1


def parse(text: str) -> BoundTemplate:
    """A template that leaves unknown variables empty. Raises :class:`MessageError`."""
    return _parse(_LENIENT, text)


def _parse(environment: Environment, text: str) -> BoundTemplate:
    if len(text) > MAX_SOURCE:
        raise MessageError(f"The message is longer than {MAX_SOURCE:,} characters.")
    try:
        return environment.from_string(text)
    except LiquidError as error:
        raise _located(error) from error
    except RecursionError as error:
        raise MessageError("The template nests too deeply.") from error


def render(template: BoundTemplate, data: Mapping[str, Any]) -> str:
    """The message. Raises :class:`MessageError`, also where it takes too long or grows too large."""
    token = _deadline.set(time.monotonic() + MAX_SECONDS)
    try:
        return str(template.render(**data))
    except LiquidError as error:
        raise _located(error) from error
    except (ArithmeticError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise MessageError(f"The template cannot be rendered: {error}.") from error
    finally:
        _deadline.reset(token)


def check(text: str, audience: str, data: Mapping[str, Any] | None = None) -> str:
    """What a message would read like; unknown variables are errors, unlike when it is sent.

    ``data`` defaults to the sample. Raises :class:`MessageError` with line and column.
    """
    template = _parse(_STRICT, text)
    names = known_names(audience)
    analysis = template.analyze(include_partials=False)
    for uses in analysis.globals.values():
        for use in uses:
            root, *rest = [str(segment) for segment in use.segments]
            line, column = _place(text, use.span.index)
            if root not in names:
                known = ", ".join(sorted(names))
                raise MessageError(f"There is no variable “{root}” here. Known are: {known}.", line, column)
            allowed = names[root]
            if allowed and rest and rest[0] not in allowed:
                known = ", ".join(f"{root}.{name}" for name in sorted(allowed))
                raise MessageError(f"“{root}” has no “{rest[0]}”. Known are: {known}.", line, column)
    return render(template, sample(audience) if data is None else data)


def render_or_default(
    template: BoundTemplate | None, audience: str, data: Mapping[str, Any]
) -> tuple[str, str]:
    """The message and, where the customised one failed and the default stands in for it, why."""
    if template is not None:
        try:
            return render(template, data), ""
        except MessageError as error:
            return render(_default(audience), data), str(error)[:500]
    return render(_default(audience), data), ""


@cache
def _default(audience: str) -> BoundTemplate:
    """Parsed once: parsing costs twice what rendering does, and a run may write to a hundred thousand people."""
    return parse(DEFAULTS[audience])


def details_of(login_detail: Mapping[str, Any]) -> dict[str, Any]:
    """A loginDetails item's details by name, their JSON text decoded."""
    return _Details({item["key"]: json.loads(item["value"]) for item in login_detail["details"]})
