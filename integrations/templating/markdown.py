"""The Markdown that an author may use in a message: emphasis, lists and links; all else is text (docs/notifications.md).

A template prints the author's Markdown and, among it, values of users. :func:`inert` moves each character of a value
to plane 15 of Unicode (private use), where no character means anything to the parser: no value can start or end a
mark, a line, a list or a link. :func:`parse_markdown` moves them back once the structure is known. So the
structure of a message follows from its author's text alone, for any values, and messages that differ only in
their values are parsed once.

The parser is markdown-it-py (CommonMark) with its rules for these things and no others. Line breaks are kept; a line
that is not indented ends a list.
"""

import re
import sys
from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from urllib.parse import quote

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from integrations.formatted_text import Block, FormattedText, ItemList, Line, Paragraph, TextSpan
from integrations.text_encoding import storable

# Values as UTF-16 code units, each plus this.
_PLANE = 0xF0000
_UTF_16, _UTF_32 = (f"utf-{bits}-{sys.byteorder[0]}e" for bits in (16, 32))
_VALUE = re.compile("[\U000f0000-\U000fffff]+")
_PLACE = re.compile("[\U000f0000-\U000fffff]")
# An address: a host that the author wrote; values can only follow it. Without user names, which look like hosts.
_HOST = r"https?://[\w.-]+(?::\d{1,5})?"
_REST = r"[^\s<>\"\\^`{|}\[\]]*"
_WEB = re.compile(rf"{_HOST}(?:[/?#]{_REST})?", re.IGNORECASE)
# After a host: a user name before another host, or a value.
_CONTINUES_HOST = re.compile("[@\U000f0000-\U000fffff]")
_MAIL = re.compile(rf"mailto:[^\s<>\"\\?/\U000f0000-\U000fffff]+@[\w.-]+(?:\?{_REST})?", re.IGNORECASE)
_SCHEME = re.compile(r"(?:^|[^a-z0-9.+-])(https?)$", re.IGNORECASE)
_MAX_ADDRESS = 2_000  # characters; a longer one is text
# The parser searches for the end of each bracket: the time for one line of n brackets is n².
_MAX_BRACKETS = 500
# Characters of a value that are unchanged in an address, % as the filter url_encode writes it.
_URL_CHARACTERS = "%/?#@$&+,;=:~"


class MarkdownText(str):
    """Text of an author whose Markdown counts; a template prints any other value inertly.

    ``source`` is what is printed, where values may be inert. Filters and conditions see the text with its values.
    """

    source: str

    def __new__(cls, source: str) -> "MarkdownText":
        text = super().__new__(cls, active(source))
        text.source = source
        return text


def inert(value: str) -> str:
    """The value in characters that mean nothing to the parser; :func:`parse_markdown` gives them back."""
    units = array("H", storable(value.replace("\r\n", "\n")).encode(_UTF_16))
    return array("I", [_PLANE + unit for unit in units]).tobytes().decode(_UTF_32)


def active(text: str) -> str:
    """A rendered text without its Markdown read: the values among it are given back."""
    return _VALUE.sub(lambda found: _value(found[0]), text)


def parse_markdown(text: str) -> FormattedText:
    """The blocks of a text, in which the values among it are text."""
    values: list[str] = []

    def place(found: re.Match[str]) -> str:
        values.append(_value(found[0]))
        return chr(_PLANE + len(values) - 1)

    if len(_VALUE.findall(text)) > 0xFFFF:
        return parse_markdown(inert(active(text)))
    blocks = _parse(_VALUE.sub(place, text))
    return tuple(_filled(block, values) for block in blocks) if values else blocks


def _value(text: str) -> str:
    units = array("I", text.encode(_UTF_32))
    return array("H", [unit - _PLANE for unit in units]).tobytes().decode(_UTF_16, "replace")


# --- Values in their places ---------------------------------------------------------------------------
def _filled(block: Block, values: Sequence[str]) -> Block:
    if isinstance(block, Paragraph):
        return Paragraph(_filled_lines(block.lines, values), block.is_apart)
    return ItemList(tuple(_filled_lines(item, values) for item in block.items), block.start, block.is_apart)


def _filled_lines(lines: Sequence[Line], values: Sequence[str]) -> tuple[Line, ...]:
    """The lines with their values; a value of several lines breaks its line."""
    filled: list[list[TextSpan]] = []
    for line in lines:
        filled.append([])
        for span in line:
            first, *others = _filled_span(span, values)
            filled[-1].append(first)
            filled += [[other] for other in others]
    return tuple(map(tuple, filled))


def _filled_span(span: TextSpan, values: Sequence[str]) -> list[TextSpan]:
    if not _PLACE.search(span.text) and not _PLACE.search(span.url):
        return [span]

    def value(found: re.Match[str]) -> str:
        return values[ord(found[0]) - _PLANE]

    def address(found: re.Match[str]) -> str:
        return quote(value(found), safe=_URL_CHARACTERS)

    url = _PLACE.sub(address, span.url)
    url = url if len(url) <= _MAX_ADDRESS else ""
    return [TextSpan(part, span.bold, span.italic, url) for part in _PLACE.sub(value, span.text).split("\n")]


# --- The parser -------------------------------------------------------------------------------------
class _Markdown(MarkdownIt):
    """markdown-it with the rules of the subset."""

    def __init__(self) -> None:
        super().__init__("zero")
        self.enable(["list", "emphasis", "link", "autolink", "escape", "newline"])
        self.block.ruler.before("list", "unindented", _ends_list, {"alt": ["paragraph"]})
        self.inline.ruler.before("escape", "address", _address)
        self.inline.ruler.before("link", "brackets", _too_many_brackets)

    def validateLink(self, url: str) -> bool:
        return len(url) <= _MAX_ADDRESS and bool(_WEB.fullmatch(url) or _MAIL.fullmatch(url))

    def normalizeLink(self, url: str) -> str:
        return url

    def normalizeLinkText(self, link: str) -> str:
        return link.removeprefix("mailto:")


def _ends_list(state: StateBlock, line: int, end: int, silent: bool) -> bool:
    """End an item's paragraph before a line that is not indented, which CommonMark would add to it."""
    return silent and state.sCount[line] < state.blkIndent


def _address(state: StateInline, silent: bool) -> bool:
    """A link of an address in the text: https://example.com/enrol"""
    if silent or state.linkLevel or not state.src.startswith("://", state.pos):
        return False
    scheme = _SCHEME.search(state.pending)
    found = _WEB.match(state.src, state.pos - len(scheme[1])) if scheme else None
    if (
        not scheme
        or not found
        or len(found[0]) > _MAX_ADDRESS
        or _CONTINUES_HOST.match(state.src, found.end())
    ):
        return False
    url = found[0].rstrip(".,;:!?'*_")
    if url.endswith(")") and "(" not in url:
        url = url.rstrip(").,;:!?'*_")
    state.pending = state.pending[: -len(scheme[1])]
    state.push("link_open", "a", 1).attrs = {"href": url}
    state.push("text", "", 0).content = url
    state.push("link_close", "a", -1)
    state.pos += len(url) - len(scheme[1])
    return True


def _too_many_brackets(state: StateInline, silent: bool) -> bool:
    """Take a bracket as text where there are more of them than links."""
    if state.src[state.pos] != "[" or _brackets(state.src) <= _MAX_BRACKETS:
        return False
    if not silent:
        state.pending += "["
    state.pos += 1
    return True


@lru_cache(maxsize=4)
def _brackets(text: str) -> int:
    return text.count("[")


_parser = _Markdown()


@lru_cache(maxsize=128)
def _parse(text: str) -> FormattedText:
    return tuple(_blocks(_parser.parse(text)))


def _blocks(tokens: Sequence[Token]) -> Iterator[Block]:
    """The blocks of the token stream; the items of a list in a list are items of the outer one."""
    items: list[list[Line]] | None = None
    start, is_apart, end = None, True, 0
    for token in tokens:
        if token.level == 0 and token.nesting == 1:
            first_line = token.map[0] if token.map else 0
            is_apart = end == 0 or first_line > end
        if token.type in ("bullet_list_open", "ordered_list_open") and token.level == 0:
            items = []
            start = int(token.attrGet("start") or 1) if token.type == "ordered_list_open" else None
        elif token.type == "list_item_open" and items is not None:
            items.append([])
        elif token.type == "inline":
            lines = _lines(token.children or [])
            end = token.map[1] if token.map else 0
            if items is None:
                yield Paragraph(lines, is_apart)
            else:
                items[-1].extend(lines)
        elif token.level == 0 and items is not None:
            yield ItemList(tuple(tuple(item) or ((),) for item in items), start, is_apart)
            items = None


def _lines(tokens: Sequence[Token]) -> tuple[Line, ...]:
    lines: list[list[TextSpan]] = [[]]
    bold = italic = 0
    url = ""
    for token in tokens:
        match token.type:
            case "softbreak" | "hardbreak":
                lines.append([])
            case "strong_open" | "strong_close":
                bold += token.nesting
            case "em_open" | "em_close":
                italic += token.nesting
            case "link_open":
                url = str(token.attrGet("href"))
            case "link_close":
                url = ""
            case _ if token.content:
                lines[-1].append(TextSpan(token.content, bold > 0, italic > 0, url))
    return tuple(map(tuple, lines))
