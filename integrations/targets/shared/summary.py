"""A neutral summary of an event: the texts of every chat message, mail and ticket, without markup. Pure.

What an author formatted (emphasis, lists, links) is in ``blocks``, which each kind writes in its own formatting.

Names and messages come from users and directories. Control characters, and those that change the direction of text,
are removed here; the kind makes the markup of its destination inert.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate, chain, repeat
from typing import Literal

from integrations.formatted_text import (
    FormattedText,
    Line,
    Paragraph,
    TextSpan,
    blocks_of,
    length_of,
    lines_of,
    links_of,
    map_lines,
    names_users_itself,
    parts_of,
    plain_text,
    sections_of,
    shortened,
    unformatted,
)
from integrations.json_types import JsonMapping
from integrations.target_data import NO_FRAME, Event, MessageFrame
from integrations.targets.shared.formatting import Reader, label_of, value_of
from integrations.templating.markdown import parse_markdown
from integrations.translation import Translator, translator_for

Subject = Literal["list", "direct", "resolved", "test"]
SEVERITIES = ("critical", "high", "medium", "low")
MAX_NAME = 200
MAX_REASONS = 3
# Of each text that does not fit as a whole: below the first number texts are left out, and the first line comes before
# the other lines of other texts up to the second.
LEAST_CHARACTERS, MAX_FIRST_LINE = 20, 80
# Users and characters of the summaries that are tried, the fullest first.
STEPS = ((20, 3000), (10, 2000), (5, 1000), (1, 400), (0, 200))
# The search between two steps ends when it is as close as one part in this number.
PRECISION = 16
# C0, C1, separators, zero-width and bidirectional controls, and the tag characters of Unicode's plane 14.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


@dataclass(frozen=True, slots=True)
class FailingUser:
    """One failing user: the login, the display name if it is another, and in words why the user fails.

    ``url``: the user's page of the console; empty where no address is known.
    """

    login: str
    reasons: tuple[tuple[str, str], ...] = ()
    name: str = ""
    url: str = ""

    @property
    def who(self) -> str:
        return f"{self.name} ({self.login})" if self.name else self.login

    @property
    def line(self) -> str:
        return "".join(span.text for span in self.spans)

    @property
    def spans(self) -> Line:
        """The line with its link, for kinds that show links."""
        reasons = "; ".join(f"{label}: {value}" for label, value in self.reasons)
        rest = f" — {reasons}" if reasons else ""
        if not self.url:
            return (TextSpan(self.who + rest),)
        return (TextSpan(self.who, url=self.url), *((TextSpan(rest),) if rest else ()))


@dataclass(frozen=True, slots=True)
class EventSummary:
    """The texts of one event.

    ``subject`` "resolved" is the event ``CHECK_RESOLVED``: ``people`` are its ``usersResolved`` (else ``usersFailing``),
    ``still_failing`` is the number of users who still fail the check; kinds close tickets at 0. ``blocks`` are the
    message if there is one, else the check's description, followed by ``actions``. ``more`` is the number of
    users of the event that are not among ``people``.
    """

    subject: Subject
    id: str
    check_id: str
    title: str
    severity: str
    headline: str
    blocks: FormattedText
    actions: tuple[str, ...]
    people: tuple[FailingUser, ...]
    more: int
    total: int
    part: str
    tags: tuple[str, ...]
    link: str
    published: str
    names_users: bool = False  # whether the message names its users, so that they are not listed below it
    still_failing: int = 0
    # Whether it is for one recipient instead of the target's channel or list.
    personal: bool = False
    recipient_email: str = ""
    recipient_name: str = ""
    frame: MessageFrame = NO_FRAME

    @property
    def translate(self) -> Translator:
        """Texts of this program in the reader's language."""
        return translator_for(self.frame.language)

    @property
    def link_label(self) -> str:
        """The target of the link: the check's page or, if not all users are named, the list of all of
        them."""
        if self.link == self.frame.users_url:
            return self.translate("Show all {count} users", count=self.translate.number(self.total))
        return self.translate("Open the check")

    @property
    def and_more(self) -> str:
        """“… and 980 more.”; empty if all users are named."""
        if not self.more:
            return ""
        count = self.translate.number(self.more)
        if self.link:
            return self.translate("… and {count} more; the page shows all of them.", count=count)
        return self.translate("… and {count} more.", count=count)

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """The blocks as plain text: what blank lines divide."""
        return tuple(map(plain_text, sections_of(self.blocks)))

    @property
    def links(self) -> list[tuple[str, str]]:
        """Text and address of each link of the message."""
        return links_of(self.blocks)

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        translate = self.translate
        rows = [
            (translate("Severity"), translate(self.severity)),
            (translate("Failing users"), translate.number(self.total) if self.subject == "list" else ""),
            (translate("Part"), self.part),
            (translate("Tags"), ", ".join(self.tags)),
        ]
        return tuple((label, value) for label, value in rows if value)

    def plain(self) -> str:
        """The whole summary as plain text, in lines."""
        blocks = [self.headline, *self.paragraphs]
        if self.people and not self.names_users:
            lines = [f"- {person.line}" for person in self.people]
            blocks.append("\n".join([*lines, self.and_more] if self.more else lines))
        if self.actions:
            blocks.append(
                "\n".join([self.translate("What to do:"), *(f"- {action}" for action in self.actions)])
            )
        if not self.personal and self.facts:
            blocks.append("\n".join(f"{label}: {value}" for label, value in self.facts))
        if self.link:
            blocks.append(f"{self.link_label}: {self.link}")
        return "\n\n".join(blocks)


def summarize(
    event: Event, frame: MessageFrame = NO_FRAME, *, people: int = 20, characters: int = 3000
) -> EventSummary:
    """The summary of an event, with at most ``people`` users, and paragraphs and actions of ``characters`` each.

    ``frame`` has what is no part of the event: the subject of a message to one person.
    """
    detail: JsonMapping = event.get("detail", {})
    subject = _subject(str(event.get("detail-type", "")))
    logins = _logins(subject, detail)
    batch: JsonMapping = detail.get("batch", {})
    count, total = int(batch.get("count", 1)), int(batch.get("totalUsers", len(logins)))
    translate = translator_for(frame.language)
    reader = Reader(translate, frame.zone, _moment(detail.get("published")))
    still = int(detail.get("stillFailing", 0)) if subject == "resolved" else 0
    message = detail.get("message") or ""
    customised = bool(message.strip())
    # A message to one person contains the reason; its user is not listed below it.
    details = () if customised and subject == "direct" else detail.get("loginDetails", ())
    named = _people(logins, details, people, frame, reader)
    blocks: FormattedText = ()
    if customised:
        blocks = blocks_of(message)
    elif subject != "resolved":
        paragraphs = [translate(str(text)) for text in detail.get("description", ())]
        blocks = tuple(block for text in paragraphs for block in unformatted(text))
    recipient: JsonMapping = detail.get("recipient", {})
    if customised and recipient and frame.instructions_url and frame.instructions_url not in message:
        how = translate("How to do it: {url}", url=frame.instructions_url)
        blocks = (*blocks, *parse_markdown(how))
    is_whole = length_of(blocks) <= characters
    actions: tuple[str, ...] = ()
    if not customised and subject != "resolved":
        lines = [
            visible_line(translate(str(text)), characters) for text in detail.get("recommendedActions", ())
        ]
        actions = tuple(
            plain_text(text) for text in _within([unformatted(line) for line in lines], characters, translate)
        )
    # The contract's texts are English; the checks' are keys of the catalogues.
    title = visible_line(translate(str(detail.get("title", ""))), 150) or translate("Identity check")
    headline = visible_line(frame.subject) or _headline(translate, subject, title, named, total, still)
    more = max(0, len(logins) - len(named) if count > 1 else total - len(named))
    return EventSummary(
        subject=subject,
        id=str(event.get("id", "")),
        check_id=visible_line(str(detail.get("checkId", "")), 100),
        title=title,
        severity=str(detail.get("severity", "")) if detail.get("severity") in SEVERITIES else "",
        headline=_prefix(translate, subject, detail, headline),
        blocks=_visible_within(blocks, characters, translate),
        actions=actions,
        people=named,
        more=more,
        total=total,
        part=translate("{index} of {count}", index=batch.get("index"), count=count) if count > 1 else "",
        tags=tuple(visible_line(str(tag), 50) for tag in detail.get("checkTags", ())[:10]),
        link=_link(detail.get("referenceUrl"))
        if not more
        else _link(frame.users_url or detail.get("referenceUrl")),
        published=str(detail.get("published", "")),
        names_users=customised
        and (subject == "direct" or (names_users_itself(message) and total <= len(logins) and is_whole)),
        still_failing=still,
        personal=subject == "direct" or bool(recipient),
        recipient_email=str(recipient.get("email", "")),
        recipient_name=visible_line(
            str(recipient.get("displayName") or recipient.get("login", "")), MAX_NAME
        ),
        frame=frame,
    )


def fit_into(event: Event, frame: MessageFrame, make: Callable[[EventSummary], bytes], most: int) -> bytes:
    """The bytes that ``make`` renders from the fullest summary with which they are at most ``most``."""
    body, above = b"", 0
    for people, characters in STEPS:
        body = make(summarize(event, frame, people=people, characters=characters))
        if len(body) <= most:
            break
        above = characters
    # Bytes do not follow from characters: a line costs its markup, too. So what lies between two steps is tried.
    while above - characters > above // PRECISION and len(body) <= most:
        middle = (characters + above) // 2
        fuller = make(summarize(event, frame, people=people, characters=middle))
        if len(fuller) <= most:
            body, characters = fuller, middle
        else:
            above = middle
    return body


def visible_line(text: str, most: int = MAX_NAME) -> str:
    """The text as one line of at most ``most`` visible characters, isolated if any of it runs from right to left."""
    clean = " ".join(_INVISIBLE.sub(" ", text.replace("\n", " ").replace("\t", " ")).split())
    return _isolated(truncate(clean, most))


def visible_block(text: str) -> str:
    """The visible characters of a text, with its line breaks."""
    rows = text.replace("\r\n", "\n").replace("\t", " ").split("\n")
    return "\n".join(_isolated(_INVISIBLE.sub("", row).rstrip()) for row in rows).strip("\n")


def truncate(text: str, most: int) -> str:
    """The text, cut to ``most`` characters, the last of which is then “…”."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _isolated(text: str) -> str:
    """Within FIRST STRONG ISOLATE and POP (UAX 9) if any of it runs from right to left, so that it does not reorder the text around it."""
    if text.isascii() or not any(unicodedata.bidirectional(character) in ("R", "AL") for character in text):
        return text
    return f"\u2068{text}\u2069"


def _subject(detail_type: str) -> Subject:
    kinds: dict[str, Subject] = {
        "FAILED_CHECK": "list",
        "DIRECT_MESSAGE": "direct",
        "CHECK_RESOLVED": "resolved",
    }
    return kinds.get(detail_type, "test")


def _logins(subject: Subject, detail: JsonMapping) -> Sequence[str]:
    if subject == "resolved" and "usersResolved" in detail:
        return list(detail["usersResolved"])
    return detail.get("usersFailing") or ([detail["login"]] if detail.get("login") else [])


def _prefix(translate: Translator, subject: Subject, detail: JsonMapping, headline: str) -> str:
    if detail.get("test") and subject != "test":
        return translate("Test message: {title}", title=headline)
    return translate("Reminder: {title}", title=headline) if detail.get("reminder") else headline


def _headline(
    translate: Translator, subject: Subject, title: str, people: Sequence[FailingUser], total: int, still: int
) -> str:
    match subject:
        case "list":
            newly = translate.plural("{count} user newly failing", "{count} users newly failing", total)
            return f"{newly}: {title}"
        case "direct":
            return f"{title}: {people[0].login}" if people else title
        case "resolved" if still:
            cured = translate.plural(
                "{count} user no longer failing, {still} still do",
                "{count} users no longer failing, {still} still do",
                total,
                still=translate.number(still),
            )
            return f"{cured}: {title}"
        case "resolved":
            return translate("Resolved: {title}", title=title)
        case _:
            return title


def _people(
    logins: Sequence[str], details: Sequence[JsonMapping], most: int, frame: MessageFrame, reader: Reader
) -> tuple[FailingUser, ...]:
    """The first ``most`` users in the order in which people read them: by name, else by login."""
    # All are in the order of the logins, which do not identify: two users can have the same one.
    columns = zip(
        map(str, logins),
        chain(details, repeat({})),
        chain(frame.names, repeat("")),
        chain(frame.user_urls, repeat("")),
        strict=False,
    )
    users = sorted(columns, key=lambda user: (user[2] or user[0]).casefold())
    return tuple(_person(*user, reader) for user in users[:most])


def _person(login: str, item: JsonMapping, name: str, url: str, reader: Reader) -> FailingUser:
    return FailingUser(
        visible_line(login) or reader.translate("(a login without visible characters)"),
        _reasons(item, reader),
        visible_line(name) if name != login else "",
        _link(url),
    )


def _reasons(item: JsonMapping, reader: Reader) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for pair in item.get("details", ()):
        key = str(pair.get("key", ""))
        if key == "providersFailingChecks" or len(found) == MAX_REASONS:
            continue
        if value := value_of(key, pair.get("value"), reader):
            found.append((visible_line(label_of(key, reader.translate), 60), visible_line(value, 120)))
    return tuple(found)


def _moment(published: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(published))
    except ValueError:
        return None


def _visible_within(blocks: FormattedText, characters: int, translate: Translator) -> FormattedText:
    """The visible characters of the blocks, the longest parts shortened alike."""
    visible = (map_lines(block, _visible_line) for block in blocks)
    parts = parts_of([block for block in visible if block.starts_part or length_of([block])])
    fitting = _within(parts, characters, translate)
    return tuple(map_lines(block, _isolated_line) for part in fitting for block in part)


def _visible_line(line: Line) -> Line:
    texts = [_INVISIBLE.sub("", run.text.replace("\t", " ")) for run in line]
    texts[-1:] = [text.rstrip() for text in texts[-1:]]
    return tuple(_with_text(run, text) for run, text in zip(line, texts, strict=True) if text)


def _isolated_line(line: Line) -> Line:
    return tuple(_with_text(run, _isolated(run.text)) for run in line)


def _with_text(span: TextSpan, text: str) -> TextSpan:
    return span if text == span.text else replace(span, text=text)


def _within(texts: Sequence[FormattedText], characters: int, translate: Translator) -> list[FormattedText]:
    """The texts, the longest of them shortened alike so that all keep to ``characters`` together.

    A text that is left out would be worse than a shortened one: it may be all that is said of a check. Only where a
    longer one would get fewer than ``LEAST_CHARACTERS`` are the last ones left out, and counted in their place.
    """
    kept = [text for text in texts if length_of(text)]
    if sum(map(length_of, kept)) <= characters:
        return kept
    first, left_out, closing = _divided(kept, characters)
    count: list[FormattedText] = []
    if left_out:
        count = [unformatted(translate("… and {count} more.", count=translate.number(left_out)))]
    short = _shortened_alike([*first, *closing], characters - sum(map(length_of, count)))
    return [*short[: len(first)], *count, *short[len(first) :]]


def _divided(
    texts: Sequence[FormattedText], characters: int
) -> tuple[Sequence[FormattedText], int, Sequence[FormattedText]]:
    """The first texts, as many as get ``LEAST_CHARACTERS``; the number of sections left out after them; the closing
    text of a message that has sections, which stays."""
    has_sections = any(text[0].starts_section for text in texts)
    end = len(texts) - (1 if has_sections and not texts[-1][0].starts_section else 0)
    least = [min(length_of(text), LEAST_CHARACTERS) for text in texts]
    if sum(least) <= characters:
        return texts, 0, []
    room = characters - sum(least[end:]) - LEAST_CHARACTERS  # for the count
    start = max(1, sum(total <= room for total in accumulate(least[:end])))
    left_out = sum(text[0].starts_section or not has_sections for text in texts[start:end])
    return texts[:start], left_out, texts[end:]


def _shortened_alike(texts: Sequence[FormattedText], characters: int) -> list[FormattedText]:
    """The texts in ``characters``: first their first lines, which name what they are about, then the rest of each."""
    lengths = [length_of(text) for text in texts]
    # Two more: the line break and the “…” in place of what follows.
    first = _levelled(
        [min(_first_line(text) + 2, length_of(text), MAX_FIRST_LINE) for text in texts], characters
    )
    rest = _levelled(
        [whole - part for whole, part in zip(lengths, first, strict=True)], characters - sum(first)
    )
    return [shortened(text, a + b) for text, a, b in zip(texts, first, rest, strict=True)]


def _first_line(text: FormattedText) -> int:
    """The characters of the first line."""
    return length_of([Paragraph(lines_of(text[0])[:1])])


def _levelled(lengths: Sequence[int], most: int) -> list[int]:
    """The lengths, the longest of them reduced to the same number so that all are at most ``most`` together."""
    left, share = most, max(lengths, default=0)
    for number, length in enumerate(sorted(lengths)):
        if length * (len(lengths) - number) > left:
            share = left // (len(lengths) - number)
            break
        left -= length
    return [min(length, share) for length in lengths]


def _link(value: object) -> str:
    text = str(value or "")
    return text if re.fullmatch(r"https?://[^\s<>\"|\\^`{}\x00-\x20]{1,2000}", text) else ""
