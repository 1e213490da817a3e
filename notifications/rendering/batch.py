"""The content of one delivery as plain values: users of an event for a list, one user for a person, or
several checks.

A batch has two methods: ``message`` makes the text for people, ``envelope`` the contract's event around it. Both are
called by :func:`notifications.rendering.render.render` alone.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import Protocol
from uuid import UUID

from liquid import BoundTemplate

from integrations.services import (
    MessageFrame,
    MessageText,
    Target,
    TargetKind,
    TemplateDetails,
    encode_event,
    language_of,
    translator_for,
)
from notifications.rendering import payloads, templates
from notifications.rendering.combined_text import CombinedText
from notifications.rendering.payloads import BatchPosition, CheckEvent, CheckText, Envelope, Item, Recipient
from notifications.rendering.presentation import DEFAULT_PRESENTATION, Presentation, person_footer

# The message, if the batch has one, and why a customised template failed; empty where none did.
Text = tuple[str | None, str]


@dataclass(frozen=True, slots=True)
class Destination:
    """One target with its secrets sealed, for one audience; ``template`` is the customised message, if any."""

    kind: TargetKind
    target: Target
    audience: str
    template: BoundTemplate | None
    template_error: str  # why the stored template was replaced by the default

    @property
    def is_verbatim(self) -> bool:
        """Whether the kind writes the contract's event as it is."""
        return self.kind.is_verbatim(self.target)

    def message(self, variables: Mapping[str, object], language: str) -> tuple[MessageText, str]:
        """The text of the customised or default template, and why the customised one failed."""
        text, error = templates.render_or_default(self.template, self.audience, variables, language)
        return text, error or self.template_error


class Batch(Protocol):
    @property
    def id(self) -> UUID:
        """The delivery's."""
        ...

    @property
    def user_count(self) -> int:
        """Number of users in the batch."""
        ...

    def message(self, to: Destination) -> Text: ...

    def envelope(self, to: Destination, message: str | None) -> Envelope: ...

    @property
    def frame(self) -> MessageFrame:
        """The frame of the text in a mail or chat."""
        ...


@dataclass(frozen=True, slots=True)
class ListBatch:
    """Users who newly fail a check, or no longer fail it, for a list."""

    id: UUID
    event: CheckEvent
    users: Sequence[Item]
    part: BatchPosition

    @property
    def user_count(self) -> int:
        return self.part.total_users

    @property
    def variables(self) -> dict[str, object]:
        part = self.part
        return {
            **self.event.variables("list", self.event.presentation.language),
            "total": part.total_users,
            "batch": {"index": part.index, "count": part.count},
            "users": [
                {"login": user.login, "display_name": user.name, "details": TemplateDetails(user.details)}
                for user in self.users
            ],
        }

    def message(self, to: Destination) -> Text:
        if self.event.is_resolved or (to.template is None and to.kind.is_for_programs):
            return None, ""
        return to.message(self.variables, self.event.presentation.language)

    @property
    def frame(self) -> MessageFrame:
        event = self.event
        return replace(
            event.presentation.frame(),
            users_url="" if event.is_resolved else event.users_url,
            names=[user.name for user in self.users],
            user_urls=_user_urls(self.users, event.user_pages),
        )

    def envelope(self, to: Destination, message: str | None) -> Envelope:
        if self.event.is_resolved:
            return payloads.check_resolved(
                self.event,
                id=self.id,
                short_id=to.target.short_id,
                users=self.users,
                part=self.part,
                encoded=to.is_verbatim,
            )
        return payloads.failed_check(
            self.event,
            id=self.id,
            short_id=to.target.short_id,
            users=self.users,
            part=self.part,
            message=message,
            encoded=to.is_verbatim,
        )


@dataclass(frozen=True, slots=True)
class DirectMessage:
    """One user who fails a check, for the user or the user's manager."""

    id: UUID
    event: CheckEvent
    user: Item
    display_name: str
    trust: str
    recipient: Recipient
    is_reminder: bool = False

    @property
    def user_count(self) -> int:
        return 1

    @property
    def variables(self) -> dict[str, object]:
        recipient, details = self.recipient, self.user.details
        return {
            **self.event.variables_about(details, recipient.kind, self.language),
            "user": {
                "login": self.user.login,
                "display_name": self.display_name,
                "details": TemplateDetails(details),
                "trust_level": self.trust,
            },
            "recipient": {
                "kind": recipient.kind,
                "login": recipient.login,
                "email": recipient.email,
                "display_name": recipient.display_name,
            },
        }

    @property
    def language(self) -> str:
        return language_of(self.recipient.locale, self.event.presentation.language)

    def message(self, to: Destination) -> Text:
        return to.message(self.variables, self.language)

    @property
    def frame(self) -> MessageFrame:
        name = self.display_name or self.user.login
        texts = self.event.texts_in(self.language)
        subject = texts[self.recipient.kind].subject if texts else ""
        return _person_frame(self.event, self.recipient, name, subject)

    def envelope(self, to: Destination, message: str | None) -> Envelope:
        return payloads.direct_message(
            self.event,
            id=self.id,
            short_id=to.target.short_id,
            user=self.user,
            user_trust_level=self.trust,
            recipient=self.recipient,
            message=message,
            is_reminder=self.is_reminder,
            encoded=to.is_verbatim,
        )


@dataclass(frozen=True, slots=True)
class ResolvedMessage:
    """One user who no longer fails a check, for the user or the user's manager."""

    id: UUID
    event: CheckEvent
    user: Item
    recipient: Recipient

    @property
    def user_count(self) -> int:
        return 1

    def message(self, to: Destination) -> Text:
        return None, ""

    @property
    def frame(self) -> MessageFrame:
        return _person_frame(self.event, self.recipient, "", "")

    def envelope(self, to: Destination, message: str | None) -> Envelope:
        return payloads.check_resolved(
            self.event,
            id=self.id,
            short_id=to.target.short_id,
            users=[self.user],
            part=BatchPosition(),
            recipient=self.recipient,
            encoded=to.is_verbatim,
        )


@dataclass(frozen=True, slots=True)
class CombinedMessage:
    """Several checks or users in one message to one person; only for kinds that write no contract's JSON."""

    id: UUID
    event: CheckEvent  # with the check of the first; the message names all
    text: CombinedText
    logins: Sequence[str]
    trust: str
    recipient: Recipient
    error: str = ""  # why a customised template in it failed

    @property
    def user_count(self) -> int:
        return len(self.logins)

    def message(self, to: Destination) -> Text:
        return self.text.body, self.error

    @property
    def frame(self) -> MessageFrame:
        return replace(_person_frame(self.event, self.recipient, "", ""), subject=self.text.title)

    def envelope(self, to: Destination, message: str | None) -> Envelope:
        check = CheckText("several", self.text.title, self.text.severity, (), ())
        login = self.logins[0] if len(self.logins) == 1 else ""
        event = self.event
        return payloads.direct_message(
            CheckEvent(event.id, event.tenant, check, event.published),
            id=self.id,
            short_id=to.target.short_id,
            user=Item.of({"login": login, "details": []}),
            user_trust_level=self.trust,
            recipient=self.recipient,
            message=message,
        )


@dataclass(frozen=True, slots=True)
class ConnectivityTest:
    """Test Connectivity."""

    id: UUID
    event: CheckEvent

    @property
    def user_count(self) -> int:
        return 0

    def message(self, to: Destination) -> Text:
        return None, ""

    @property
    def frame(self) -> MessageFrame:
        return self.event.presentation.frame()

    def envelope(self, to: Destination, message: str | None) -> Envelope:
        return payloads.webhook_test(self.event, id=self.id, short_id=to.target.short_id)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event that a dead letter keeps because its kind could not write it."""

    id: UUID
    stored: Envelope
    presentation: Presentation = DEFAULT_PRESENTATION

    @property
    def user_count(self) -> int:
        return 0

    def message(self, to: Destination) -> Text:
        return None, ""

    @property
    def frame(self) -> MessageFrame:
        return self.presentation.frame()

    def envelope(self, to: Destination, message: str | None) -> Envelope:
        return self.stored


def _person_frame(event: CheckEvent, recipient: Recipient, name: str, subject: str) -> MessageFrame:
    """The frame of a message to one person; ``name``: of the user that a manager reads about."""
    language = language_of(recipient.locale, event.presentation.language)
    frame = _shared_frame(event.presentation, recipient.kind, language, subject)
    if subject and recipient.kind == "manager":
        translate = translator_for(language)
        return replace(frame, subject=translate("{name}: {subject}", name=name, subject=subject))
    return frame


@lru_cache(maxsize=256)
def _shared_frame(presentation: Presentation, kind: str, language: str, subject: str) -> MessageFrame:
    """The frame of all messages to users, or to managers, in one language; a manager's is without the subject."""
    translate = translator_for(language)
    footer = person_footer(translate, presentation.organization, kind)
    own = translate("Your account: {subject}", subject=subject) if subject and kind == "user" else ""
    return presentation.frame(subject=own, footer=footer, language=language)


def _user_urls(users: Sequence[Item], pages: str) -> list[str]:
    """Each user's page of the console; empty for made-up users and without an address of the console."""
    return [f"{pages}{user.user_id}/" if pages and user.user_id else "" for user in users]


# --- Users of a list ------------------------------------------------------------------------------
class ItemFile:
    """The items of one event in a temporary file, read in order for each target; memory holds two numbers a user."""

    def __init__(self, file: "SpooledTemporaryFile[bytes]") -> None:
        self._file = file
        self.sizes = array("L")  # bytes that each user adds to a body of the contract
        self.findings = array("Q")  # id of each user's finding

    def __len__(self) -> int:
        return len(self.sizes)

    def add(self, items: Iterable[Item], findings: Iterable[int]) -> None:
        self.findings.extend(findings)
        for item in items:
            self.sizes.append(len(item.encoded) + len(encode_event(item.login)) + 2)  # a comma each
            self._file.write(item.line + b"\n")

    def batches(self, ranges: Iterable[range]) -> Iterator[list[Item]]:
        """The users of each range; the ranges follow each other from 0."""
        self._file.seek(0)
        items = (Item.read(line[:-1]) for line in self._file)
        for users in ranges:
            yield list(islice(items, len(users)))


def partition(sizes: Sequence[int], base: int, max_users: int, max_bytes: int) -> list[range]:
    """Consecutive batches of users, each within both limits, as few as going in order allows.

    ``sizes[i]`` is what user i adds to a body, ``base`` what a body has without users, in bytes. A user who exceeds
    the limit alone makes a batch of one.
    """
    batches: list[range] = []
    start, weight = 0, base
    for index, size in enumerate(sizes):
        if index > start and (index - start >= max_users or weight + size > max_bytes):
            batches.append(range(start, index))
            start, weight = index, base
        weight += size
    if sizes:
        batches.append(range(start, len(sizes)))
    return batches
