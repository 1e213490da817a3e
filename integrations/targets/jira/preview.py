"""An issue's text in the Atlassian Document Format as HTML, for a preview. Pure."""

from html import escape

from integrations.json_types import JsonMapping
from integrations.targets.shared.preview import page_of


def issue_page(plan: JsonMapping) -> str:
    """The page of an issue, or of the comment on one."""
    fields = plan.get("fields", {})
    title = f"<h1>{escape(fields['summary'])}</h1>" if "summary" in fields else ""
    return page_of(title + _children(plan.get("text", {})))


def _children(node: JsonMapping) -> str:
    return "".join(map(_node, node.get("content", ())))


def _node(node: JsonMapping) -> str:
    match node["type"]:
        case "text":
            return _text(node)
        case "hardBreak":
            return "<br>"
        case "bulletList":
            return f"<ul>{_children(node)}</ul>"
        case "orderedList":
            return f'<ol start="{int(node["attrs"]["order"])}">{_children(node)}</ol>'
        case "listItem":
            return f"<li>{''.join(map(_children, node['content']))}</li>"
        case _:
            return f"<p>{_children(node)}</p>"


def _text(node: JsonMapping) -> str:
    html = escape(node["text"])
    for mark in node.get("marks", ()):
        match mark["type"]:
            case "strong":
                html = f"<strong>{html}</strong>"
            case "em":
                html = f"<em>{html}</em>"
            case "link":
                html = f'<a href="{escape(mark["attrs"]["href"])}">{html}</a>'
    return html
