"""Liquid templates by authors whom nobody needs to trust: messages, and bodies of webhooks.

Liquid reaches nothing but the data it is given. What is left to an ill-meant template is size and time,
and both are bounded here: the source, the output, loops, intermediate values and the wall clock.
"""

import json
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import wraps
from typing import Any

from liquid import BoundTemplate, Environment, StrictUndefined, Undefined
from liquid.exceptions import LiquidError

MAX_SOURCE = 16_384  # characters
MAX_OUTPUT = 65_536  # bytes
MAX_BODY = 262_144  # bytes, of a webhook's body
MAX_VALUE = 1_000_000  # characters or items of one intermediate value
MAX_SECONDS = 2.0


class TemplateError(Exception):
    """What is wrong with a template, and where: ``line`` and ``column`` from 1, None where unknown."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        place = f"Line {line}, column {column}: " if line else ""
        super().__init__(f"{place}{message}")
        self.message, self.line, self.column = message, line, column


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


def _json(value: object) -> str:
    """The filter ``json``: a value as JSON, with its quotes; unknown is null."""
    if isinstance(value, Undefined):
        return "null"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


class _Bounded(Environment):
    block_nesting_limit = 15
    context_depth_limit = 15
    loop_iteration_limit = 50_000
    local_namespace_limit = MAX_VALUE
    output_stream_limit = MAX_OUTPUT


class _BoundedBody(_Bounded):
    output_stream_limit = MAX_BODY


def _environment(kind: type[Environment], undefined: type[Undefined]) -> Environment:
    environment = kind(undefined=undefined)
    for tag in ("include", "render"):  # there are no other templates
        del environment.tags[tag]
    environment.filters = {name: _bounded(name, f) for name, f in environment.filters.items()}
    environment.filters["json"] = _json
    return environment


STRICT = _environment(_Bounded, StrictUndefined)
LENIENT = _environment(_Bounded, Undefined)
BODY = _environment(_BoundedBody, Undefined)


# --- Parse and render -------------------------------------------------------------------------------
def located(error: LiquidError, source: str = "") -> TemplateError:
    """``source``: where a tag that is never closed is missed is the end of it."""
    try:
        context = error.context()
    except ValueError:  # the token stands at the very end of the text
        context = None
    text = str(error.message or "The template cannot be read.")
    if not text.endswith("."):
        text += "."
    if context:
        return TemplateError(text, context[0], context[1] + 1)
    if source:
        return TemplateError(text.replace("end of expression", "the end"), *place(source, len(source)))
    return TemplateError(text)


def place(source: str, index: int) -> tuple[int, int]:
    """Line and column, from 1, of a character."""
    line = source.count("\n", 0, index) + 1
    return line, index - (source.rfind("\n", 0, index) + 1) + 1


def parse(text: str, environment: Environment = LENIENT) -> BoundTemplate:
    """A template; LENIENT leaves unknown variables empty. Raises :class:`TemplateError`."""
    if len(text) > MAX_SOURCE:
        raise TemplateError(f"The message is longer than {MAX_SOURCE:,} characters.")
    try:
        return environment.from_string(text)
    except LiquidError as error:
        raise located(error, text) from error
    except RecursionError as error:
        raise TemplateError("The template nests too deeply.") from error


def render(template: BoundTemplate, data: Mapping[str, Any]) -> str:
    """The text. Raises :class:`TemplateError`, also where it takes too long or grows too large."""
    token = _deadline.set(time.monotonic() + MAX_SECONDS)
    try:
        return str(template.render(**data))
    except LiquidError as error:
        raise located(error) from error
    except (ArithmeticError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise TemplateError(f"The template cannot be rendered: {error}.") from error
    finally:
        _deadline.reset(token)


def check_names(template: BoundTemplate, source: str, names: Mapping[str, set[str]]) -> None:
    """Raises :class:`TemplateError` for a variable that is not among ``names``: root → its properties
    (empty: anything goes)."""
    for uses in template.analyze(include_partials=False).globals.values():
        for use in uses:
            root, *rest = [str(segment) for segment in use.segments]
            if root not in names:
                known = ", ".join(sorted(names))
                text = f"There is no variable “{root}” here. Known are: {known}."
                raise TemplateError(text, *place(source, use.span.index))
            if names[root] and rest and rest[0] not in names[root]:
                known = ", ".join(f"{root}.{name}" for name in sorted(names[root]))
                text = f"“{root}” has no “{rest[0]}”. Known are: {known}."
                raise TemplateError(text, *place(source, use.span.index))
