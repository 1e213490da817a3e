"""A neutral summary of an event: what every chat, mail and ticket says, before it is dressed for one of them.

Pure. Names and messages come from users and directories: control characters and those that
turn the direction of text are taken out here; markup of a destination is made inert by its kind.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from integrations.targets.base import Event

Subject = Literal["list", "direct", "resolved", "test"]
SEVERITIES = ("critical", "high", "medium", "low")
MAX_NAME = 200
MAX_REASONS = 3
# C0, C1, separators, zero-width and bidirectional controls, and the tag characters of Unicode's plane 14.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Person:
    """One failing user: the login, and in words why the user fails."""

    login: str
    reasons: tuple[tuple[str, str], ...] = ()

    @property
    def line(self) -> str:
        said = "; ".join(f"{label}: {value}" for label, value in self.reasons)
        return f"{self.login} ({said})" if said else self.login


@dataclass(frozen=True, slots=True)
class Summary:
    """What a kind says of one event.

    ``subject`` "resolved" is the event ``CHECK_RESOLVED``: shaped like ``FAILED_CHECK``, the cured users in
    ``usersResolved`` (else ``usersFailing``), and in ``stillFailing`` how many users fail the check yet; tickets are closed
    at 0. ``paragraphs`` is the customised message where there is one, else the check's description, for which
    ``actions`` are then given. ``more`` counts the failing users of the event that are not among ``people``."""

    subject: Subject
    id: str
    check_id: str
    title: str
    severity: str
    headline: str
    paragraphs: tuple[str, ...]
    actions: tuple[str, ...]
    people: tuple[Person, ...]
    more: int
    total: int
    part: str
    tags: tuple[str, ...]
    link: str
    published: str
    customised: bool
    still_failing: int = 0
    # Whether it goes to one person (the recipient) instead of the target's channel or list.
    personal: bool = False
    recipient_email: str = ""
    recipient_name: str = ""

    @property
    def and_more(self) -> str:
        """“and 980 more”, empty where all are named."""
        if not self.more:
            return ""
        where = "; the page shows all of them" if self.link else ""
        return f"… and {self.more:,} more{where}."

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        rows = [
            ("Severity", self.severity),
            ("Failing users", f"{self.total:,}" if self.subject == "list" else ""),
            ("Part", self.part),
            ("Tags", ", ".join(self.tags)),
        ]
        return tuple((label, value) for label, value in rows if value)

    def plain(self) -> str:
        """All of it as plain text, in lines."""
        blocks = [self.headline, *self.paragraphs]
        if self.people and not self.customised_direct:
            lines = [f"- {person.line}" for person in self.people]
            blocks.append("\n".join([*lines, self.and_more] if self.more else lines))
        if self.actions:
            blocks.append("\n".join(["Recommended:", *(f"- {action}" for action in self.actions)]))
        if not self.personal and self.facts:
            blocks.append("\n".join(f"{label}: {value}" for label, value in self.facts))
        if self.link:
            blocks.append(self.link)
        return "\n\n".join(blocks)

    @property
    def customised_direct(self) -> bool:
        """A direct message already says whom it is about."""
        return self.subject == "direct" and self.customised


def summary(event: Event, *, people: int = 20, characters: int = 3000) -> Summary:
    """At most ``people`` users by name; paragraphs and actions share ``characters``."""
    detail: Mapping[str, Any] = event.get("detail", {})
    subject = _subject(str(event.get("detail-type", "")))
    logins = _logins(subject, detail)
    batch: Mapping[str, Any] = detail.get("batch", {})
    count, total = int(batch.get("count", 1)), int(batch.get("totalUsers", len(logins)))
    named = _people(logins[:people], detail.get("loginDetails", ()))
    still = int(detail.get("stillFailing", 0)) if subject == "resolved" else 0
    message = detail.get("message")
    customised = isinstance(message, str) and bool(message.strip())
    said = str(message).split("\n\n") if customised else detail.get("description", ())
    if subject == "resolved" and not customised:
        said = ()
    paragraphs = _within([block(str(text)) for text in said], characters)
    actions: tuple[str, ...] = ()
    if not customised and subject != "resolved":
        actions = _within(
            [line(str(text), characters) for text in detail.get("recommendedActions", ())], characters
        )
    recipient: Mapping[str, Any] = detail.get("recipient", {})
    title = line(str(detail.get("title", "")), 150) or "Identity check"
    return Summary(
        subject=subject,
        id=str(event.get("id", "")),
        check_id=line(str(detail.get("checkId", "")), 100),
        title=title,
        severity=str(detail.get("severity", "")) if detail.get("severity") in SEVERITIES else "",
        headline=_prefix(subject, detail) + _headline(subject, title, named, total, still),
        paragraphs=paragraphs,
        actions=actions,
        people=named,
        more=max(0, len(logins) - len(named) if count > 1 else total - len(named)),
        total=total,
        part=f"{batch.get('index')} of {count}" if count > 1 else "",
        tags=tuple(line(str(tag), 50) for tag in detail.get("checkTags", ())[:10]),
        link=_link(detail.get("referenceUrl")),
        published=str(detail.get("published", "")),
        customised=customised,
        still_failing=still,
        personal=subject == "direct" or bool(recipient),
        recipient_email=str(recipient.get("email", "")),
        recipient_name=line(str(recipient.get("displayName") or recipient.get("login", "")), MAX_NAME),
    )


def fitted(event: Event, make: Callable[[Summary], bytes], most: int) -> bytes:
    """What ``make`` makes of the fullest summary whose bytes are at most ``most``."""
    body = b""
    for people, characters in ((20, 3000), (10, 2000), (5, 1000), (1, 400), (0, 200)):
        body = make(summary(event, people=people, characters=characters))
        if len(body) <= most:
            break
    return body


def line(text: str, most: int = MAX_NAME) -> str:
    """One visible line of at most ``most`` characters, set apart where it runs from right to left."""
    clean = " ".join(_INVISIBLE.sub(" ", text.replace("\n", " ").replace("\t", " ")).split())
    return _isolated(shortened(clean, most))


def block(text: str) -> str:
    """Visible text that keeps its line breaks."""
    rows = text.replace("\r\n", "\n").replace("\t", " ").split("\n")
    return "\n".join(_isolated(_INVISIBLE.sub("", row).rstrip()) for row in rows).strip("\n")


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _isolated(text: str) -> str:
    """Within FIRST STRONG ISOLATE and POP (UAX 9) if any of it runs from right to left, so that it turns nothing else."""
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


def _logins(subject: Subject, detail: Mapping[str, Any]) -> Sequence[str]:
    if subject == "resolved" and "usersResolved" in detail:
        return list(detail["usersResolved"])
    return detail.get("usersFailing") or ([detail["login"]] if detail.get("login") else [])


def _prefix(subject: Subject, detail: Mapping[str, Any]) -> str:
    if detail.get("test") and subject != "test":
        return "Test message: "
    return "Reminder: " if detail.get("reminder") else ""


def _headline(subject: Subject, title: str, people: Sequence[Person], total: int, still: int) -> str:
    match subject:
        case "list":
            return f"{total:,} {'user' if total == 1 else 'users'} newly failing: {title}"
        case "direct":
            return f"{title}: {people[0].login}" if people else title
        case "resolved":
            cured = f"{total:,} {'user' if total == 1 else 'users'} no longer failing, {still:,} still do"
            return f"{cured}: {title}" if still else f"Resolved: {title}"
        case _:
            return title


def _people(logins: Sequence[str], details: Sequence[Mapping[str, Any]]) -> tuple[Person, ...]:
    # loginDetails has one item a login, in the same order.
    items = list(details[: len(logins)])
    return tuple(
        Person(
            line(str(login)) or "(a login without visible characters)",
            _reasons(items[index]) if index < len(items) else (),
        )
        for index, login in enumerate(logins)
    )


def _reasons(item: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    found = []
    for pair in item.get("details", ()):
        key = str(pair.get("key", ""))
        if key == "providersFailingChecks":
            continue
        value = _value(pair.get("value"))
        if value:
            found.append((line(_WORDS.sub(" ", key).lower(), 60), line(value, 120)))
    return tuple(found[:MAX_REASONS])


def _value(text: Any) -> str:
    """A ``value`` is JSON text by the contract; what is none is shown as it is."""
    try:
        value = json.loads(text)
    except (TypeError, ValueError):
        value = text
    if isinstance(value, list):
        return ", ".join(str(item) for item in value if not isinstance(item, list | dict))
    if isinstance(value, dict) or value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _within(texts: Sequence[str], characters: int) -> tuple[str, ...]:
    kept = []
    for text in texts:
        if characters <= 0:
            break
        if text:
            kept.append(shortened(text, characters))
            characters -= len(text)
    return tuple(kept)


def _link(value: Any) -> str:
    text = str(value or "")
    return text if re.fullmatch(r"https?://[^\s<>\"|\\^`{}\x00-\x20]{1,2000}", text) else ""
