"""Markdown of the documentation to HTML: CommonMark with tables, by markdown-it-py.

The text is the product's own, yet no HTML in it counts: what looks like a tag is shown. Headings get the anchors that
GitHub gives them, so that one link works in both places. A block ``mermaid`` becomes a picture in the browser
(``static/docs/pictures.js``).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")
_PICTURE = "mermaid"


@dataclass(frozen=True, slots=True)
class Link:
    """``href`` as it is written; ``text``: the text between its brackets."""

    href: str
    text: str = ""

    @property
    def is_external(self) -> bool:
        return bool(_SCHEME.match(self.href))


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of the second level."""

    anchor: str
    text: str


@dataclass(slots=True)
class RenderedText:
    """``title``: the text of the first heading, which ``html`` lacks."""

    title: str = ""
    html: str = ""
    headings: tuple[Heading, ...] = ()
    has_picture: bool = False
    anchors: set[str] = field(default_factory=set)


def render(text: str, address: Callable[[Link], str]) -> RenderedText:
    """``address`` gives the address of a link or picture; where it gives "", a link becomes its text alone."""
    tokens = _parser.parse(text)
    done = RenderedText()
    _name_headings(tokens, done)
    for token in tokens:
        if token.children:
            token.children = list(_with_addresses(token.children, address))
        done.has_picture |= token.type == "fence" and token.info.strip() == _PICTURE
    done.html = str(_parser.renderer.render(_without_title(tokens), _parser.options, {}))
    return done


def links_of(text: str) -> Iterator[tuple[str, Link]]:
    """Each link with the heading of the second level above it; "" above the first."""
    heading = ""
    tokens = _parser.parse(text)
    for before, token in zip([None, *tokens], tokens, strict=False):
        if before and before.type == "heading_open" and before.tag == "h2":
            heading = _plain(token)
        children = token.children or []
        for index, child in enumerate(children):
            if child.type == "link_open":
                yield heading, Link(str(child.attrGet("href")), _link_text(children[index + 1 :]))


def anchor_of(heading: str) -> str:
    """GitHub's anchor of a heading: its letters, digits, - and _ in lower case, with - for spaces."""
    return _NOT_IN_ANCHORS.sub("", heading.lower()).strip().replace(" ", "-")


def _name_headings(tokens: Sequence[Token], done: RenderedText) -> None:
    headings, seen = [], Counter[str]()
    for token, inline in pairwise(tokens):
        if token.type != "heading_open":
            continue
        text = _plain(inline)
        anchor = anchor_of(text)
        seen[anchor] += 1
        if seen[anchor] > 1:
            anchor = f"{anchor}-{seen[anchor] - 1}"
        token.attrSet("id", anchor)
        done.anchors.add(anchor)
        if token.tag == "h1":
            done.title = done.title or text
        elif token.tag == "h2":
            headings.append(Heading(anchor, text))
    done.headings = tuple(headings)


def _without_title(tokens: Sequence[Token]) -> list[Token]:
    """The page shows the title itself, at its head."""
    start = next((index for index, token in enumerate(tokens) if token.tag == "h1"), None)
    return list(tokens) if start is None else [*tokens[:start], *tokens[start + 3 :]]


def _with_addresses(tokens: Sequence[Token], address: Callable[[Link], str]) -> Iterator[Token]:
    is_open = True
    for token in tokens:
        if token.type == "link_open":
            link = Link(str(token.attrGet("href")))
            is_open = bool(href := address(link))
            token.attrSet("href", href)
            if link.is_external:
                token.attrSet("rel", "noopener noreferrer")
        elif token.type == "image":
            token.attrSet("src", address(Link(str(token.attrGet("src")))))
            token.attrSet("loading", "lazy")
        if is_open or token.type not in ("link_open", "link_close"):
            yield token
        is_open = is_open or token.type == "link_close"


def _plain(inline: Token) -> str:
    return "".join(child.content for child in inline.children or [] if child.content)


def _link_text(tokens: Sequence[Token]) -> str:
    end = next(index for index, token in enumerate(tokens) if token.type == "link_close")
    return "".join(token.content for token in tokens[:end])


class _Parser(MarkdownIt):
    """Wrap wide parts so that they scroll separately on a phone; the keyboard can reach them."""

    def __init__(self) -> None:
        super().__init__("commonmark", {"html": False})
        self.enable("table")
        self.add_render_rule("table_open", lambda *_: '<div class="doc-wide" tabindex="0"><table>\n')
        self.add_render_rule("table_close", lambda *_: "</table></div>\n")
        self.add_render_rule("fence", lambda _, tokens, index, *__: _block(tokens[index]))
        self.add_render_rule("code_block", lambda _, tokens, index, *__: _block(tokens[index]))


def _block(token: Token) -> str:
    text = escape(token.content)
    if token.info.strip() == _PICTURE:
        return f'<div class="doc-picture" tabindex="0"><pre data-picture>{text}</pre></div>\n'
    return f'<pre class="doc-code" tabindex="0"><code>{text}</code></pre>\n'


_parser = _Parser()
