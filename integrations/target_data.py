"""The values that pass between the services, a kind of target and its transport. No ORM, no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from integrations.errors import IntegrationError
from integrations.json_types import JsonMapping, JsonObject

# One contract event (docs/contract.md) as plain data: the envelope with its ``detail``.
Event = JsonMapping
# A target's configuration as a configuration file holds it: nested, secrets in place.
Document = JsonObject


DEFAULT_ACCENT = "#0b5cad"


@dataclass(frozen=True, slots=True)
class MessageFrame:
    """The frame of a message for people: the look, the sender, the links.

    It is no part of the contract's event: a webhook's bytes do not depend on it. The defaults are those of an
    installation without settings. ``users_url`` is the console's page with all failing users. ``names`` are the display
    names of the event's users in its order, ``user_urls`` their pages of the console; empty where there is none.
    ``subject`` is the subject of a message to one person; empty: the event's headline.
    ``footer`` says why the reader gets the message. ``sender``, ``sender_name`` and ``reply_to`` replace those of a mail
    target where they are set.
    """

    language: str = "en"  # BCP 47 (translation.py)
    zone: str = "UTC"  # IANA name, of dates
    subject: str = ""
    footer: str = ""
    organization: str = ""
    instructions_url: str = ""
    logo_url: str = ""
    accent: str = DEFAULT_ACCENT
    users_url: str = ""
    names: Sequence[str] = ()
    user_urls: Sequence[str] = ()
    sender: str = ""
    sender_name: str = ""
    reply_to: str = ""


NO_FRAME = MessageFrame()


@dataclass(frozen=True, slots=True)
class Target:
    """One configured target with its secrets unsealed.

    ``secrets`` holds what ``settings`` leaves out, under the same nested keys. ``signing_secrets`` are the live
    ``whsec_…`` texts, newest first.
    """

    id: int
    name: str
    short_id: str
    kind: str
    settings: JsonMapping = field(repr=False)  # a URL in it may hold a secret of its receiver
    secrets: JsonMapping = field(repr=False, default_factory=dict)
    signing_secrets: Sequence[str] = field(repr=False, default=())
    frame: MessageFrame = NO_FRAME


@dataclass(frozen=True, slots=True)
class RenderedBody:
    """The bytes of one message for one target."""

    body: bytes
    content_type: str = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class AttemptRequest:
    """One attempt: the delivery's id (the idempotency key), the stored bytes, when it is sent (epoch seconds)."""

    id: str
    body: bytes
    content_type: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class CleanedDocument:
    """A validated document in two parts, for ``Integration.settings`` and, sealed, ``Integration.sealed``.

    ``lost`` is the text shown at each secret if none of the stored ones can be unsealed, else empty.
    """

    settings: JsonObject = field(repr=False)
    secrets: JsonObject = field(repr=False)
    lost: str = ""


class InvalidDocument(IntegrationError):
    """Errors of a document: dotted path of the key → what is wrong and what is expected.

    ``{"authorization.password": "Write 1 to 512 characters.", "parameters.header.Host": "…"}``
    """

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{path}: {text}" for path, text in errors.items()))
        self.errors = dict(errors)
