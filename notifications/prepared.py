"""A direct message's template, made ready for the many messages of one event.

Liquid takes some 0.15 ms for a message, most of it for what is the same in all of them. Where a template says of the
people nothing but their names and the like, what all share is rendered once by Liquid, and the rest is put in. A
template that does anything else with what varies is not prepared: Liquid renders it each time, as it does for a preview.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from liquid import BoundTemplate
from liquid.ast import Node
from liquid.builtin.expressions import FilteredExpression, Path, PositionalArgument, StringLiteral
from liquid.builtin.output import OutputNode
from liquid.expression import Expression

from integrations import liquid
from integrations.liquid import MAX_OUTPUT

# What varies from message to message and is text.
TEXTS = frozenset({
    "user.login", "user.display_name", "user.trust_level",
    "recipient.kind", "recipient.login", "recipient.email", "recipient.display_name",
})  # fmt: skip
# Tags that remember nothing from one node to the next.
TAGS = frozenset({"for", "if", "unless"})


@dataclass(frozen=True, slots=True)
class Prepared:
    """``format`` has a place ``%(n)s`` for each of ``places``: a name of :data:`TEXTS`, and what stands in where
    it is empty (another name, a text, or nothing)."""

    format: str
    places: tuple[tuple[str, str, str], ...]

    def render(self, values: Mapping[str, str]) -> str | None:
        """The message of these texts. None where Liquid has to judge: it turns carriage returns into line feeds, and
        bounds the message's length."""
        said = {
            str(number): values[name] or values.get(other, text)
            for number, (name, other, text) in enumerate(self.places)
        }
        made = self.format % said
        return None if "\r" in made or len(made) > MAX_OUTPUT // 4 else made


def prepare(template: BoundTemplate, shared: Mapping[str, Any]) -> Prepared | None:
    """``shared``: the variables that all messages have in common. None: Liquid has to render each."""
    if not template.analyze(include_partials=False).tags.keys() <= TAGS or "offset" in str(template):
        return None
    parts: list[str] = []
    places: list[tuple[str, str, str]] = []
    for node in template.nodes:
        place = _place(node)
        text = f"%({len(places)})s" if place else _shared_text(template, node, shared)
        if text is None:
            return None
        parts.append(text)
        if place:
            places.append(place)
    return Prepared("".join(parts), tuple(places))


def _place(node: Node) -> tuple[str, str, str] | None:
    """Of ``{{ user.login }}`` and ``{{ user.display_name | default: user.login }}``, also with a text as default."""
    expression = node.expression if isinstance(node, OutputNode) else None
    if not isinstance(expression, FilteredExpression):
        return None
    name = _name(expression.left)
    filters = expression.filters or []
    if not name or not filters:
        return (name, "", "") if name else None
    only = filters[0].args[0] if [each.name for each in filters] == ["default"] and filters[0].args else None
    if not isinstance(only, PositionalArgument) or len(filters[0].args) > 1:
        return None
    if isinstance(only.value, StringLiteral):
        return name, "", only.value.value
    other = _name(only.value)
    return (name, other, "") if other else None


def _name(expression: Expression) -> str:
    """The text that varies which the expression is; empty where it is anything else."""
    path = expression.path if isinstance(expression, Path) else []
    name = ".".join(map(str, path))
    return name if name in TEXTS and len(path) == 2 else ""


def _shared_text(template: BoundTemplate, node: Node, shared: Mapping[str, Any]) -> str | None:
    """What the node says in all messages, as a format; None where that varies, or fails."""
    alone = BoundTemplate(template.env, [node])
    if not alone.analyze(include_partials=False).globals.keys() <= shared.keys():
        return None
    try:
        return liquid.render(alone, shared).replace("%", "%%")
    except liquid.TemplateError:
        return None
