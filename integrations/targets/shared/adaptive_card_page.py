"""An Adaptive Card of adaptive_card.py as HTML, for a preview. Pure."""

import re
from collections.abc import Iterator
from html import escape

from integrations.formatted_text import lines_of
from integrations.json_types import JsonMapping
from integrations.targets.shared.preview import button, page_of
from integrations.templating.markdown import parse_markdown

_MARK = re.compile(r"(?:\d+\.|•) ")
_STYLE = (
    "p{margin:8px 0 0}p.near{margin:0}.large{font-size:17px;line-height:1.35}.small{font-size:12px}"
    ".attention{color:#b3261e}.warning{color:#8a5a00}.accent{color:#0b5cad}"
)


def card_page(card: JsonMapping) -> str:
    """The page of a card."""
    lines = "".join(map(_element, card["body"]))
    buttons = "".join(button(action["title"], action["url"]) for action in card.get("actions", ()))
    return page_of(lines + (f"<p>{buttons}</p>" if buttons else ""), _STYLE)


def _element(element: JsonMapping) -> str:
    runs = _text_runs(element["text"]) if element["type"] == "TextBlock" else element["inlines"]
    html = "".join(map(_run, runs))
    return f'<p class="near">{html}</p>' if _is_near(element) else f"<p>{html}</p>"


def _text_runs(text: str) -> Iterator[JsonMapping]:
    """The runs of one line of Markdown, as adaptive_card.py writes it: after the mark of a list, part of our own."""
    mark = _MARK.match(text)
    if mark:
        yield {"text": mark[0]}
    for block in parse_markdown(text[mark.end() :] if mark else text):
        for run in (run for line in lines_of(block) for run in line):
            bold = {"weight": "Bolder"} if run.bold else {}
            link = {"selectAction": {"url": run.url}} if run.url else {}
            yield {"text": run.text, "italic": run.italic, **bold, **link}


def _is_near(element: JsonMapping) -> bool:
    return element.get("spacing") == "None"


def _run(run: JsonMapping) -> str:
    classes = " ".join(str(run[key]).lower() for key in ("size", "color") if key in run)
    html = f'<span class="{escape(classes)}">{escape(run["text"])}</span>' if classes else escape(run["text"])
    if run.get("italic"):
        html = f"<em>{html}</em>"
    if run.get("weight") == "Bolder":
        html = f"<strong>{html}</strong>"
    url = run.get("selectAction", {}).get("url")
    return f'<a href="{escape(url)}">{html}</a>' if url else html
