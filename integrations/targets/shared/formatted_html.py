"""Formatted text as HTML that is safe in any page: paragraphs, lists, emphasis, links, and nothing else. Pure."""

from collections.abc import Iterable, Mapping
from html import escape

from integrations.formatted_text import Block, Line, Paragraph, TextSpan


def to_html(blocks: Iterable[Block], styles: Mapping[str, str] | None = None) -> str:
    """The elements ``p``, ``ul``, ``ol``, ``li``, ``br``, ``strong``, ``em`` and ``a``. All text is escaped.

    ``styles``: element → inline CSS, as mail programs need it: ``{"p": "margin:0 0 12px", "a": "color:#0b5cad"}``.
    """
    return "".join(_block(block, styles or {}) for block in blocks)


def _block(block: Block, styles: Mapping[str, str]) -> str:
    if isinstance(block, Paragraph):
        return f'<p{_style("p", styles)} dir="auto">{_lines(block.lines, styles)}</p>'
    items = "".join(
        f'<li{_style("li", styles)} dir="auto">{_lines(item, styles)}</li>' for item in block.items
    )
    if block.start is None:
        return f"<ul{_style('ul', styles)}>{items}</ul>"
    return f'<ol start="{block.start}"{_style("ol", styles)}>{items}</ol>'


def _lines(lines: Iterable[Line], styles: Mapping[str, str]) -> str:
    return "<br>".join("".join(_span(span, styles) for span in line) for line in lines)


def _span(span: TextSpan, styles: Mapping[str, str]) -> str:
    html = escape(span.text)
    if span.italic:
        html = f"<em>{html}</em>"
    if span.bold:
        html = f"<strong>{html}</strong>"
    return f'<a href="{escape(span.url)}"{_style("a", styles)}>{html}</a>' if span.url else html


def _style(element: str, styles: Mapping[str, str]) -> str:
    return f' style="{escape(styles[element])}"' if element in styles else ""
