"""What a kind of target is: the one interface that each file of this folder fulfils.

A kind never touches the database of findings, never retries and never decides when: it renders an
event to bytes, makes one attempt through the door (http.py), and says what became of it.

Every kind but the webhook inherits ``calls.FieldsKind``, which adds two attributes: ``form_fields`` (fields.py), from
which one form page can show and read any of them, and ``one_message``: whether one body speaks of all users of an event
(the first ones by name, the others by number), so that planning need not split it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from integrations.outcomes import Outcome

# One contract event (docs/contract.md) as plain data: the envelope with its ``detail``.
Event = Mapping[str, Any]
# A target's configuration as people write it: nested, secrets in place. See apply_config.
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """One configured target on its way to a send: secrets unsealed, nothing of the ORM.

    ``secrets`` holds what ``settings`` leaves out, under the same nested keys; ``signing_secrets`` are
    the live ``whsec_…`` texts, newest first.
    """

    id: int
    name: str
    short_id: str
    kind: str
    settings: Mapping[str, Any] = field(repr=False)  # a URL in it may hold a secret of its receiver's
    secrets: Mapping[str, Any] = field(repr=False, default_factory=dict)
    signing_secrets: Sequence[str] = field(repr=False, default=())


@dataclass(frozen=True, slots=True)
class Rendered:
    body: bytes
    content_type: str = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One attempt: the delivery's id (the idempotency key), the stored bytes, when it is sent (epoch seconds)."""

    id: str
    body: bytes
    content_type: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A validated document in two parts, for ``Integration.settings`` and, sealed, ``Integration.sealed``."""

    settings: dict[str, Any] = field(repr=False)
    secrets: dict[str, Any] = field(repr=False)


class InvalidDocument(Exception):
    """Errors of a document: dotted path of the key → what is wrong and what to write instead.

    ``{"authorization.password": "Write 1 to 512 characters.", "parameters.header.Host": "…"}``
    """

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{path}: {text}" for path, text in errors.items()))
        self.errors = dict(errors)


class TargetKind(Protocol):
    slug: ClassVar[str]
    label: ClassVar[str]
    summary: ClassVar[str]
    max_bytes: ClassVar[int]  # of one rendered body
    per_second: ClassVar[float | None]  # default rate limit, sends a second
    concurrency: ClassVar[int]  # default number of sends at a time
    audiences: ClassVar[frozenset[str]]  # of "list", "user", "manager"

    def clean(self, document: Document, stored: Cleaned | None = None) -> Cleaned:
        """Validate; a secret that is absent keeps the stored one. Raises :class:`InvalidDocument`."""
        ...

    def describe(self, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Label and value of what may be shown: never a secret."""
        ...

    def render(self, event: Event, target: Target) -> Rendered:
        """Pure: the same event and target give the same bytes."""
        ...

    def show(self, body: bytes, target: Target) -> str:
        """A stored body as a page may show it, secrets blotted out."""
        ...

    def send(self, outgoing: Outgoing, target: Target) -> Outcome:
        """One attempt; never raises for what the other side does."""
        ...

    def probe(self, outgoing: Outgoing, target: Target) -> Outcome:
        """Test Connectivity: like :meth:`send`, never stored, shown in place."""
        ...
