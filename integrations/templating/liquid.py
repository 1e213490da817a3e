"""Liquid templates by untrusted authors: messages in Markdown, and bodies of webhooks.

In a message, what a template prints of its data is inert (markdown.py): the Markdown of the author alone counts.

A template can read only its data. A malicious one can take space and time; both are bounded here, through the library's
public interface: the source, the output, the turns of all loops, each intermediate value, and the clock, which is
checked wherever a template can spend time. A template that is not saved yet renders in a process that can be killed
(template_process.py).
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import wraps
from typing import TextIO, TypeGuard, cast

from liquid import BoundTemplate, Environment, RenderContext, StrictUndefined, Token, Undefined
from liquid.ast import Node
from liquid.builtin.expressions import LoopExpression
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.capture_tag import CaptureNode, CaptureTag
from liquid.builtin.tags.cycle_tag import CycleNode, CycleTag
from liquid.builtin.tags.echo_tag import EchoNode, EchoTag
from liquid.builtin.tags.for_tag import ForLoop
from liquid.builtin.tags.tablerow_tag import TableRow
from liquid.exceptions import LiquidError, LiquidSyntaxError
from liquid.expression import Expression
from liquid.stringify import to_liquid_string
from liquid.tag import Tag
from liquid.undefined import UNDEFINED

from integrations.errors import IntegrationError
from integrations.json_types import JsonMapping, JsonObject
from integrations.templating.markdown import MarkdownText, active, inert
from integrations.text_encoding import storable

MAX_SOURCE = 16_384  # characters
MAX_OUTPUT = 65_536  # bytes
MAX_BODY = 262_144  # bytes, of a webhook's body
MAX_VALUE = 262_144  # characters or items of one intermediate value
MAX_WEIGHT = (
    4 * MAX_VALUE
)  # characters and items of a list with all that it holds, where a filter makes more of it
MAX_BITS = 1_024  # of a whole number
MAX_TURNS = 50_000  # of all loops together
MAX_SECONDS = 1.5
MAX_BLANKS = 500  # in a row
MAX_OPEN = 50  # output brackets that are not closed
# Filters that take more than linear time: they compare all items with each other, restart a parser, or guess a date.
MAX_INPUT = {"uniq": 2_000, "strip_html": 16_384, "date": 1_000}


class TemplateError(IntegrationError):
    """An error of a template. ``line`` and ``column`` count from 1; they are None if the place is unknown."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        place = f"Line {line}, column {column}: " if line else ""
        super().__init__(f"{place}{message}")
        self.message, self.line, self.column = message, line, column
        self.number = 0  # index of the data with which the template failed
        self.is_temporary = False  # whether a retry may succeed


# --- The bounded environment ------------------------------------------------------------------------
_deadline: ContextVar[float] = ContextVar("liquid_deadline", default=float("inf"))


class _LimitExceeded(LiquidError):
    def __init__(self, message: str) -> None:
        super().__init__(message, token=None)


def _check_time() -> None:
    if time.monotonic() > _deadline.get():
        raise _LimitExceeded(TOO_LONG)


TOO_LONG = f"The template takes longer than {MAX_SECONDS:g} seconds."


def _check(value: object) -> None:
    _check_time()
    if isinstance(value, str | list | tuple | range) and len(value) > MAX_VALUE:
        raise _LimitExceeded(f"A value grows beyond {MAX_VALUE:,} characters or items.")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise _LimitExceeded("A number grows beyond 300 digits.")


def _grown(name: str, args: Sequence[object]) -> int:
    """The length of the result of a filter that multiplies its input; 0 for the other filters."""
    if name == "replace" and len(args) > 2:
        text, old, new = (str(part) for part in args[:3])
        return text.count(old) * len(new)
    if name == "join" and args:
        items = args[0] if isinstance(args[0], list | tuple | range) else str(args[0])
        return len(items) * len(str(args[1]) if len(args) > 1 else " ")
    return 0


def _weight(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return len(value) + sum(map(_weight, value.values()))
    return len(value) + sum(map(_weight, value)) if isinstance(value, list | tuple) else 1


def _check_input(name: str, args: Sequence[object]) -> None:
    for value in args:
        _check(value)
    if _grown(name, args) > MAX_VALUE:
        raise _LimitExceeded(f"A value grows beyond {MAX_VALUE:,} characters.")
    # A list that repeats a long text: few items, but gigabytes when they are joined.
    if name in ("join", "concat") and sum(map(_weight, args)) > MAX_WEIGHT:
        raise _LimitExceeded(f"A list grows beyond {MAX_WEIGHT:,} characters and items.")
    most = MAX_INPUT.get(name)
    if most and args and isinstance(args[0], str | list | tuple) and len(args[0]) > most:
        raise _LimitExceeded(f"The filter {name} takes at most {most:,} characters or items.")


def _bounded(name: str, function: Callable[..., object]) -> Callable[..., object]:
    @wraps(function)
    def guard(*args: object, **kwargs: object) -> object:
        if name == "uniq" and len(args) == 1 and _is_texts(args[0]):
            return list(dict.fromkeys(args[0]))
        _check_input(name, args)
        result = function(*args, **kwargs)
        _check(result)
        return result

    return guard


def _is_texts(value: object) -> TypeGuard[list[str]]:
    return (
        isinstance(value, list) and len(value) <= MAX_VALUE and all(isinstance(item, str) for item in value)
    )


def _json(value: object) -> str:
    """The filter ``json``: a value as JSON with its quotes; an unknown variable is null."""
    if isinstance(value, Undefined):
        return "null"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


class _Context(RenderContext):
    """Checks the clock at each variable and each turn of a loop, and counts the turns of all loops."""

    turns = 0

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        _check_time()
        return super().get(path, token=token, default=default)

    @contextmanager
    def loop(self, namespace: Mapping[str, object], forloop: ForLoop | TableRow) -> Iterator[RenderContext]:
        forloop.it = self._counted(forloop.it)
        with super().loop(namespace, forloop) as context:
            yield context

    def _counted(self, items: Iterator[object]) -> Iterator[object]:
        for item in items:
            _check_time()
            self.turns += 1
            if self.turns > MAX_TURNS:
                raise _LimitExceeded(f"The loops take more than {MAX_TURNS:,} turns together.")
            yield item


# --- What a message prints of its data --------------------------------------------------------------
def _printed(value: object) -> str:
    return (
        value.source if isinstance(value, MarkdownText) else inert(to_liquid_string(value, autoescape=False))
    )


class _InertOutputNode(OutputNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return buffer.write(_printed(self.expression.evaluate(context)))


class _InertOutput(Output):
    node_class = _InertOutputNode


class _InertEchoNode(EchoNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return buffer.write(_printed(self.expression.evaluate(context)))


class _InertEcho(EchoTag):
    node_class = _InertEchoNode


class _InertCycleNode(CycleNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        printed = context.get_buffer(buffer)
        super().render_to_output(context, printed)
        return buffer.write(inert(printed.getvalue()))


class _InertCycle(CycleTag):
    node_class = _InertCycleNode


class _MarkdownCaptureNode(CaptureNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        captured = context.get_buffer(buffer)
        self.block.render(context, captured)
        context.assign(self.name, MarkdownText(captured.getvalue()))
        return 0


class _MarkdownCapture(CaptureTag):
    node_class = _MarkdownCaptureNode


_MESSAGE_TAGS: Sequence[type[Tag]] = (_InertOutput, _InertEcho, _InertCycle, _MarkdownCapture)


# --- Environments -----------------------------------------------------------------------------------
class Template(BoundTemplate):
    """A parsed template. ``source`` is None for a part of a template."""

    context_class = _Context
    source: str | None = None


class _Bounded(Environment):
    template_class = Template
    block_nesting_limit = 15
    context_depth_limit = 15
    loop_iteration_limit = MAX_TURNS
    local_namespace_limit = 1_000_000
    output_stream_limit = MAX_BODY


class _BoundedMessage(_Bounded):
    # An inert character has four bytes.
    output_stream_limit = 4 * MAX_OUTPUT


def _environment(
    kind: type[Environment], undefined: type[Undefined], tags: Sequence[type[Tag]] = ()
) -> Environment:
    environment = kind(undefined=undefined)
    for tag_class in tags:
        environment.add_tag(tag_class)
    for tag in ("include", "render"):  # there are no other templates
        del environment.tags[tag]
    filters = {**environment.filters, "json": _json}
    environment.filters = {name: _bounded(name, f) for name, f in filters.items()}
    return environment


# Messages: the text of a template is Markdown, and what it prints of its data is inert.
STRICT = _environment(_BoundedMessage, StrictUndefined, _MESSAGE_TAGS)
LENIENT = _environment(_BoundedMessage, Undefined, _MESSAGE_TAGS)
# Bodies of webhooks: the text as it is printed.
BODY = _environment(_Bounded, Undefined)


class TemplateDetails(JsonObject):
    """Details of a user. A missing one is empty, also in a strict template: users have different details."""

    def __missing__(self, key: str) -> str:
        return ""


# --- Bounds over many renderings --------------------------------------------------------------------
@dataclass(slots=True)
class _Budget:
    """Seconds that each template may take in total; ``per_rendering`` is added for each rendering."""

    seconds: float
    per_rendering: float
    left: dict[str | None, float] = field(default_factory=dict)

    def check(self, source: str | None) -> None:
        self.left[source] = self.left.get(source, self.seconds) + self.per_rendering
        if self.left[source] <= 0:
            raise TemplateError(
                f"The template has taken longer than {self.seconds:g} seconds for the messages before this one."
            )


_budget: ContextVar[_Budget | None] = ContextVar("liquid_budget", default=None)


@contextmanager
def template_time_limit(seconds: float, per_rendering: float = 0.0) -> Iterator[None]:
    """Bound the total time of each template in the block, so that none can stall a run."""
    token = _budget.set(_Budget(seconds, per_rendering))
    try:
        yield
    finally:
        _budget.reset(token)


Renderer = Callable[[BoundTemplate, JsonMapping], str]
_renderer: ContextVar[Renderer | None] = ContextVar("liquid_renderer", default=None)


@contextmanager
def use_renderer(renderer: Renderer) -> Iterator[None]:
    """Call ``renderer`` for each :func:`render_template` in the block."""
    token = _renderer.set(renderer)
    try:
        yield
    finally:
        _renderer.reset(token)


_BLANKS = re.compile(rf"\s{{{MAX_BLANKS + 1}}}")


# --- Parse and render -------------------------------------------------------------------------------
def locate_error(error: LiquidError, source: str = "") -> TemplateError:
    """The library's error with its place; a tag that is never closed is reported at the end of ``source``."""
    try:
        context = error.context()
    except ValueError:  # the token is at the end of the text
        context = None
    text = str(error.message or "The template cannot be read.")
    if not text.endswith("."):
        text += "."
    if context:
        return TemplateError(text, context[0], context[1] + 1)
    if source:
        return TemplateError(
            text.replace("end of expression", "the end"), *line_and_column(source, len(source))
        )
    return TemplateError(text)


def line_and_column(source: str, index: int) -> tuple[int, int]:
    """Line and column, from 1, of a character."""
    line = source.count("\n", 0, index) + 1
    return line, index - (source.rfind("\n", 0, index) + 1) + 1


def parse_template(text: str, environment: Environment = LENIENT) -> Template:
    """A template; LENIENT leaves unknown variables empty. Raises :class:`TemplateError`."""
    if len(text) > MAX_SOURCE:
        raise TemplateError(f"The message is longer than {MAX_SOURCE:,} characters.")
    if storable(text) != text:
        raise TemplateError("The message holds NUL or half a surrogate pair, which cannot be stored.")
    _refuse_slow(text)
    try:
        template = cast(Template, environment.from_string(text))
        _refuse_ranges(template.nodes, RenderContext(template))
    except LiquidError as error:
        raise locate_error(error, text) from error
    except RecursionError as error:
        raise TemplateError("The template nests too deeply.") from error
    template.source = text
    return template


def _refuse_slow(text: str) -> None:
    """Refuse texts for which the library's lexer takes quadratic time: many blanks, many brackets that are never closed."""
    if found := _BLANKS.search(text):
        raise TemplateError(f"Over {MAX_BLANKS} blanks in a row.", *line_and_column(text, found.start()))
    end = max(text.rfind("}}"), 0)
    if text.count("{{", end) > MAX_OPEN:
        raise TemplateError(
            "The brackets {{ are never closed.", *line_and_column(text, text.index("{{", end))
        )


def _refuse_ranges(nodes: Sequence[Node], context: RenderContext) -> None:
    """Refuse ranges outside loops, where nothing bounds them: (1..9999999999) contains "x" takes minutes."""
    for node in nodes:
        for expression in node.expressions():
            _refuse_range(expression)
        _refuse_ranges(list(node.children(context, include_partials=False)), context)


def _refuse_range(expression: Expression) -> None:
    if isinstance(expression, RangeLiteral):
        raise LiquidSyntaxError("A range such as (1..5) is allowed in a loop only.", token=expression.token)
    for child in expression.children():
        if not (isinstance(expression, LoopExpression) and child is expression.iterable):
            _refuse_range(child)


def render_template(template: BoundTemplate, data: JsonMapping) -> str:
    """The rendered text: of a message, Markdown for :func:`~integrations.templating.markdown.parse_markdown`.

    Raises :class:`TemplateError`, also if it takes too long or becomes too large.
    """
    budget, renderer = _budget.get(), _renderer.get()
    source = getattr(template, "source", None)
    if budget:
        budget.check(source)
    # In this process, only the time of this thread counts: other work of the machine must not.
    clock = time.monotonic if renderer else time.thread_time
    start = clock()
    try:
        return (renderer or render_here)(template, data)
    finally:
        if budget:
            budget.left[source] -= clock() - start


def render_here(template: BoundTemplate, data: JsonMapping, seconds: float = MAX_SECONDS) -> str:
    """The text, rendered in this process within ``seconds``."""
    token = _deadline.set(time.monotonic() + seconds)
    try:
        text = storable(str(template.render(**data)))
        if isinstance(template.env, _BoundedMessage):
            _check_length(text)
        return text
    except LiquidError as error:
        raise locate_error(error) from error
    except (ArithmeticError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise TemplateError(f"The template cannot be rendered: {error}.") from error
    finally:
        _deadline.reset(token)


def _check_length(text: str) -> None:
    if len(text.encode()) > MAX_OUTPUT and len(active(text).encode()) > MAX_OUTPUT:
        raise TemplateError(f"The message grows beyond {MAX_OUTPUT:,} bytes.")


def check_names(template: BoundTemplate, source: str, names: Mapping[str, set[str]]) -> None:
    """Raises :class:`TemplateError` for a variable that is not among ``names``: root → its properties
    (empty: anything goes)."""
    for uses in template.analyze(include_partials=False).globals.values():
        for use in uses:
            root, *rest = [str(segment) for segment in use.segments]
            if root not in names:
                known = ", ".join(sorted(names))
                text = f"There is no variable “{root}” here. Known are: {known}."
                raise TemplateError(text, *line_and_column(source, use.span.index))
            if names[root] and rest and rest[0] not in names[root]:
                known = ", ".join(f"{root}.{name}" for name in sorted(names[root]))
                text = f"“{root}” has no “{rest[0]}”. Known are: {known}."
                raise TemplateError(text, *line_and_column(source, use.span.index))
