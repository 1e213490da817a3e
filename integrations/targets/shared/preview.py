"""Previews of a rendered message at its destination, for the console's editor. Pure.

A preview is made from the very bytes that are sent. Its page is a simple picture of the destination: all text in it is escaped,
it holds no script, and it is shown in a sandboxed frame.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from integrations.json_types import Json

MOST_SOURCE = 65_536  # characters


@dataclass(frozen=True, slots=True)
class MessagePreview:
    """``source``: what is sent, readable. ``page``: HTML of how it looks; empty where programs read it. ``headers`` and
    ``text``: of a mail, its headers and its plain text."""

    source: str
    page: str = ""
    headers: Sequence[tuple[str, str]] = ()
    text: str = ""


_STYLE = (
    "body{margin:0;padding:16px;font:14px/1.5 system-ui,'Segoe UI',Arial,sans-serif;color:#1d1c1d;background:#fff;"
    "overflow-wrap:anywhere}h1{font-size:17px;line-height:1.35;margin:0 0 8px}p{margin:0 0 8px}"
    "ul,ol{margin:0 0 8px;padding-left:24px}a{color:#0b5cad}.quiet{color:#5c5f66;font-size:12px}"
    ".button{display:inline-block;margin:4px 8px 0 0;padding:5px 12px;border:1px solid #c6c9cf;border-radius:6px;color:#1d1c1d;"
    "font-weight:600;text-decoration:none}"
)


def page_of(content: str, style: str = "") -> str:
    """A page with the escaped ``content``."""
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><style>{_STYLE}{style}</style><body>{content}</body></html>'


def button(label: str, url: str) -> str:
    return f'<a class="button" href="{escape(url)}">{escape(label)}</a>'


def source_of(body: bytes) -> str:
    """JSON with indentation, anything else as it is; the start of a long one."""
    text = body.decode("utf-8", "replace")
    try:
        value: Json = json.loads(text)
    except ValueError:
        return _start_of(text)
    return _start_of(json.dumps(value, ensure_ascii=False, indent=2))


def _start_of(text: str) -> str:
    return text if len(text) <= MOST_SOURCE else f"{text[:MOST_SOURCE]}\n…"
