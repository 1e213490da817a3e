"""Text with emphasis, lists and links as plain values: a message as its author formatted it. Pure.

Each kind of target writes these values in its own formatting. No text in them is markup: a name that contains
markup is the ``text`` of a span, as any other text.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A stretch of one line in one style. ``url``: where it leads (https, http or mailto); empty where it is no link."""

    text: str
    bold: bool = False
    italic: bool = False
    url: str = ""


Line = tuple[TextSpan, ...]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Lines that belong together. ``is_apart``: the author's text has a blank line before it. ``starts_part``: it begins a
    part of the message, such as what is said of one check, which is shortened as a whole. ``starts_section``: that part
    is one of many of a kind, which are counted where they are left out.
    """

    lines: tuple[Line, ...]
    is_apart: bool = True
    starts_part: bool = False
    starts_section: bool = False


@dataclass(frozen=True, slots=True)
class ItemList:
    """Items of one or more lines each. ``start``: the number of the first one; None: bullets."""

    items: tuple[tuple[Line, ...], ...]
    start: int | None = None
    is_apart: bool = True
    starts_part: bool = False
    starts_section: bool = False

    @property
    def marks(self) -> list[str]:
        """The prefix of each item in plain text."""
        if self.start is None:
            return ["-"] * len(self.items)
        return [f"{number}." for number in range(self.start, self.start + len(self.items))]


Block = Paragraph | ItemList
FormattedText = tuple[Block, ...]


class MessageText(str):
    """A message as plain text, which is what the contract has, and with its formatting, for kinds that show it.

    ``names_users``: its author names the failing users in it, so that a kind does not list them again.
    """

    blocks: FormattedText
    names_users: bool

    def __new__(cls, blocks: FormattedText, names_users: bool = False) -> "MessageText":
        message = super().__new__(cls, plain_text(blocks))
        message.blocks, message.names_users = blocks, names_users
        return message

    def __getnewargs__(self) -> tuple[FormattedText, bool]:  # type: ignore[override]  # copied from its blocks
        return self.blocks, self.names_users


def blocks_of(text: str) -> FormattedText:
    """The blocks of a message; one without formatting has a paragraph for each stretch between blank lines."""
    return text.blocks if isinstance(text, MessageText) else unformatted(text)


def names_users_itself(text: str) -> bool:
    """Whether a message names the users that it is about."""
    return isinstance(text, MessageText) and text.names_users


def unformatted(text: str) -> FormattedText:
    """Text in which nothing is formatting: a paragraph for each stretch between blank lines."""
    paragraphs = (part.strip("\n") for part in text.replace("\r\n", "\n").split("\n\n"))
    return tuple(
        Paragraph(tuple((TextSpan(line),) if line else () for line in part.split("\n")))
        for part in paragraphs
        if part
    )


# --- Plain text -------------------------------------------------------------------------------------
def plain_text(blocks: Sequence[Block]) -> str:
    """The text in lines, lists with their marks, links with their address, and blank lines where the author has them."""
    text = ""
    for block in blocks:
        if text:
            text += "\n\n" if block.is_apart else "\n"
        text += "\n".join(_plain_lines(block))
    return text


def _plain_lines(block: Block) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield from map(plain_line, block.lines)
        return
    for mark, item in zip(block.marks, block.items, strict=True):
        first, *others = map(plain_line, item)
        yield f"{mark} {first}"
        yield from (f"{' ' * len(mark)} {line}" for line in others)


def plain_line(line: Line) -> str:
    """One line without its styles; a link is followed by its address, unless its text is the address."""
    if not any(span.url for span in line):
        return "".join(span.text for span in line)
    return "".join(_with_address(url, text) for url, text in _stretches(line))


def _with_address(url: str, text: str) -> str:
    return text if not url or text in (url, url.removeprefix("mailto:")) else f"{text} ({url})"


def _stretches(line: Line) -> Iterator[tuple[str, str]]:
    """Address and text of the parts of a line; a link is one part, also with several styles in it."""
    for url, spans in groupby(line, key=lambda span: span.url):
        yield url, "".join(span.text for span in spans)


# --- Parts of a text ----------------------------------------------------------------------------------
def lines_of(block: Block) -> tuple[Line, ...]:
    """All lines of a block."""
    return (
        block.lines if isinstance(block, Paragraph) else tuple(line for item in block.items for line in item)
    )


def links_of(blocks: Iterable[Block]) -> list[tuple[str, str]]:
    """Text and address of each link; each address once, with its first text."""
    lines = (line for block in blocks for line in lines_of(block))
    found: dict[str, str] = {}
    for url, text in (part for line in lines for part in _stretches(line)):
        if url:
            found.setdefault(url, text)
    return [(text, url) for url, text in found.items()]


def map_lines(block: Block, change: Callable[[Line], Line]) -> Block:
    """The block with each of its lines changed."""
    if isinstance(block, Paragraph):
        return replace(block, lines=tuple(map(change, block.lines)))
    return replace(block, items=tuple(tuple(map(change, item)) for item in block.items))


def sections_of(blocks: Iterable[Block]) -> list[FormattedText]:
    """The stretches between blank lines: a paragraph with the lists that follow it at once."""
    sections: list[list[Block]] = []
    for block in blocks:
        if block.is_apart or not sections:
            sections.append([])
        sections[-1].append(block)
    return [tuple(section) for section in sections]


def as_part(blocks: FormattedText, *, is_section: bool = False) -> FormattedText:
    """The blocks as one part of a message."""
    if not blocks:
        return ()
    return (replace(blocks[0], starts_part=True, starts_section=is_section), *blocks[1:])


def parts_of(blocks: Sequence[Block]) -> list[FormattedText]:
    """The parts that the message names, else the stretches between blank lines."""
    if not any(block.starts_part for block in blocks):
        return sections_of(blocks)
    parts: list[list[Block]] = []
    for block in blocks:
        if block.starts_part or not parts:
            parts.append([])
        parts[-1].append(block)
    return [tuple(part) for part in parts]


def length_of(blocks: Iterable[Block]) -> int:
    """The characters of the blocks with the addresses of their links and one for each line break within a block."""
    return sum(_length(lines_of(block)) for block in blocks)


def shortened(blocks: Sequence[Block], most: int) -> FormattedText:
    """The blocks cut to ``most`` characters, as :func:`length_of` counts them; the last one is then “…”."""
    kept: list[Block] = []
    for block in blocks:
        length = length_of([block])
        if length > most:
            return (*kept, _cut(block, most))
        kept.append(block)
        most -= length
    return tuple(kept)


def _length(lines: Sequence[Line]) -> int:
    return sum(_span_length(span) for line in lines for span in line) + max(len(lines) - 1, 0)


def _span_length(span: TextSpan) -> int:
    return len(span.text) + (len(f" ({span.url})") if span.url else 0)


def _cut(block: Block, most: int) -> Block:
    """The start of the block, of at least one character."""
    if isinstance(block, Paragraph):
        return replace(block, lines=_cut_lines(block.lines, most))
    items: list[tuple[Line, ...]] = []
    for item in block.items:
        if _length(item) >= most:
            return replace(block, items=(*items, _cut_lines(item, most)))
        items.append(item)
        most -= _length(item) + 1
    return replace(block, items=tuple(items))


def _cut_lines(lines: Sequence[Line], most: int) -> tuple[Line, ...]:
    kept: list[Line] = []
    for line in lines:
        if _length([line]) >= most:
            return (*kept, _cut_line(line, most))
        kept.append(line)
        most -= _length([line]) + 1
    return tuple(kept)


def _cut_line(line: Line, most: int) -> Line:
    kept: list[TextSpan] = []
    for span in line:
        if _span_length(span) >= most:
            # A link that does not fit with its address is text.
            return (*kept, replace(span, text=span.text[: max(most - 1, 0)].rstrip() + "…", url=""))
        kept.append(span)
        most -= _span_length(span)
    return (*kept, TextSpan("…"))
