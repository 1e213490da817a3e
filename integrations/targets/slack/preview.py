"""A Slack message's blocks as HTML, for a preview. Pure."""

from html import escape

from integrations.json_types import JsonMapping
from integrations.targets.shared.preview import button, page_of

_STYLE = ".section{white-space:pre-wrap;margin:0}ul,ol{margin:0 0 4px}"


def message_page(message: JsonMapping) -> str:
    """The page of a message with the blocks of kind.py."""
    return page_of("".join(map(_block, message["blocks"])), _STYLE)


def _block(block: JsonMapping) -> str:
    match block["type"]:
        case "header":
            return f"<h1>{escape(block['text']['text'])}</h1>"
        case "context":
            texts = "".join(escape(element["text"]) for element in block["elements"])
            return f'<p class="quiet">{texts}</p>'
        case "actions":
            return "".join(button(element["text"]["text"], element["url"]) for element in block["elements"])
        case _:
            return "".join(map(_element, block["elements"]))


def _element(element: JsonMapping) -> str:
    if element["type"] == "rich_text_section":
        return f'<p class="section">{_inlines(element)}</p>'
    items = "".join(f"<li>{_inlines(item)}</li>" for item in element["elements"])
    if element["style"] == "ordered":
        return f'<ol start="{int(element.get("offset", 0)) + 1}">{items}</ol>'
    return f"<ul>{items}</ul>"


def _inlines(section: JsonMapping) -> str:
    return "".join(map(_inline, section["elements"]))


def _inline(inline: JsonMapping) -> str:
    html = escape(inline["text"])
    style = inline.get("style", {})
    if style.get("italic"):
        html = f"<em>{html}</em>"
    if style.get("bold"):
        html = f"<strong>{html}</strong>"
    return f'<a href="{escape(inline["url"])}">{html}</a>' if inline["type"] == "link" else html
