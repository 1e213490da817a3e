"""A Google Chat card as HTML, for a preview. Pure."""

from html import escape

from integrations.json_types import JsonMapping
from integrations.targets.shared.preview import button, page_of


def card_page(card: JsonMapping) -> str:
    """The page of a card of kind.py, whose texts are HTML with all text escaped."""
    header = card["header"]
    content = f"<h1>{escape(header['title'])}</h1>"
    if "subtitle" in header:
        content += f'<p class="quiet">{escape(header["subtitle"])}</p>'
    for section in card.get("sections", ()):
        content += "".join(map(_widget, section["widgets"]))
    return page_of(content)


def _widget(widget: JsonMapping) -> str:
    if "textParagraph" in widget:
        return f"<p>{widget['textParagraph']['text']}</p>"
    buttons = widget["buttonList"]["buttons"]
    return "".join(button(one["text"], one["onClick"]["openLink"]["url"]) for one in buttons)
