"""The base class of the kinds of target: it declares the whole interface, with defaults.

A kind is one folder, ``integrations/targets/<slug>/``, with ``kind.py`` (one subclass) and ``logo.svg``. A kind reads no
table, does not retry and does not decide when to send: it validates a document, renders an event to bytes, and makes one
attempt through the transport.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import ClassVar

from integrations.json_types import JsonMapping, JsonObject
from integrations.logos import logo_path
from integrations.target_data import AttemptRequest, CleanedDocument, Document, Event, RenderedBody, Target
from integrations.targets.shared import setting_fields
from integrations.targets.shared.call import Call
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.preview import MessagePreview, source_of
from integrations.targets.shared.setting_fields import Field
from integrations.transport.results import AttemptOutcome

log = logging.getLogger(__name__)


# A kind that can reach single users has them all.
ALL_AUDIENCES = frozenset({"list", "user", "manager"})


class Inert(StrEnum):
    """The way in which a kind keeps names and messages from outside from acting as markup at its
    destination."""

    # Passed on unchanged as values of JSON, which a program reads.
    DATA = "data"
    # Only in fields that the destination shows as they are.
    PLAIN = "plain"
    # Escaped wherever the destination reads markup.
    ESCAPED = "escaped"


class TargetKind(ABC):
    """One kind of target. The single instance of each subclass is in :data:`integrations.targets.KINDS`.

    A subclass sets ``slug``, ``label``, ``summary``, ``max_bytes`` and ``inert``, and implements :meth:`render` and
    :meth:`attempt`. With ``form_fields`` it needs nothing else: validation, description and form follow from them.
    """

    # The folder's name, and the kind in configuration files, URLs and the database.
    slug: ClassVar[str]
    label: ClassVar[str]
    # One sentence for the gallery.
    summary: ClassVar[str]
    # The gallery shows kinds by ascending position, then by slug.
    position: ClassVar[int] = 1000
    # Limit of one rendered body, in bytes.
    max_bytes: ClassVar[int]
    # The default limits: requests a second (None: unlimited), and requests at a time.
    per_second: ClassVar[float | None] = None
    concurrency: ClassVar[int] = 1
    # Some of ALL_AUDIENCES.
    audiences: ClassVar[frozenset[str]] = frozenset({"list"})
    # tests/integrations/targets/test_inert.py proves it.
    inert: ClassVar[Inert]
    # The document's fields. Empty: the kind has a separate form and overrides :meth:`clean` and
    # :meth:`describe`.
    form_fields: ClassVar[tuple[Field, ...]] = ()
    # Whether one message covers all users of an event (the first by name, the others by number), so that planning
    # does not split the event into batches.
    one_message: ClassVar[bool] = True

    @property
    def is_for_programs(self) -> bool:
        """Whether programs read its messages, not people."""
        return self.inert is Inert.DATA

    @property
    def logo(self) -> str:
        """The static path of ``logo.svg`` in the kind's folder."""
        return logo_path(self.slug)

    @property
    def sealed_urls(self) -> Mapping[str, str]:
        """URLs that are a secret themselves (auth/sealed_urls.py): dotted path → label."""
        return {field.path: field.label for field in self.form_fields if field.sealed}

    @property
    def secret_paths(self) -> frozenset[str]:
        """Dotted paths of the document whose value is sealed; ``*`` stands for any one key."""
        return frozenset(field.path for field in self.form_fields if field.secret or field.sealed)

    def is_secret(self, keys: Sequence[str]) -> bool:
        """Whether these nested keys of a document lead to a secret value."""
        paths = (path.split(".") for path in self.secret_paths)
        return any(len(keys) == len(path) and all(map(fnmatchcase, keys, path)) for path in paths)

    def clean(self, document: Document, stored: CleanedDocument | None = None) -> CleanedDocument:
        """Validate; an absent secret keeps the stored one. Raises
        :class:`~integrations.target_data.InvalidDocument`."""
        return setting_fields.clean_fields(self.form_fields, document, stored, self.check)

    def check(  # noqa: B027  an optional hook
        self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject
    ) -> None:
        """Report through ``reader`` the errors that concern more than one field."""

    def describe(self, settings: JsonMapping) -> list[tuple[str, str]]:
        """Label and value of each setting that may be shown; a secret is shown as a mask."""
        return setting_fields.describe_fields(self.form_fields, settings)

    def warnings(self, settings: JsonMapping) -> list[str]:
        """Sentences about risky settings, shown as long as these are set."""
        return []

    @abstractmethod
    def render(self, event: Event, target: Target) -> RenderedBody:
        """The message. Pure: the same event and target give the same bytes."""

    def is_verbatim(self, target: Target) -> bool:
        """Whether the body is the event unchanged, perhaps with further keys: then the ``loginDetails`` that
        :meth:`render` gets may be encoded already (event_json.py)."""
        return False

    def users_per_request(self, target: Target) -> int | None:
        """The highest number of users in one request; None: as many as the installation allows."""
        return None

    def show(self, body: bytes, target: Target) -> str:
        """A stored body as a page may show it, with its secrets masked.

        The default masks nothing: no secret is in the stored bytes if only :meth:`attempt` adds it.
        """
        return body.decode("utf-8", "replace")

    def preview(self, body: bytes, target: Target) -> MessagePreview:
        """The look of a rendered body at its destination. The default: the bytes as text, for programs that
        read them."""
        return MessagePreview(source_of(body))

    @abstractmethod
    def attempt(self, request: AttemptRequest, target: Target, call: Call) -> AttemptOutcome:
        """Send once, by the requests of ``call``. May raise what these raise."""

    def send(self, request: AttemptRequest, target: Target) -> AttemptOutcome:
        """One attempt; never raises for what the receiver does."""
        call = Call(target, self.sealed_urls)
        return call.run(lambda: self.attempt(request, target, call))

    def probe(self, request: AttemptRequest, target: Target) -> AttemptOutcome:
        """Test the connectivity: like :meth:`send`, but the result is not stored."""
        outcome = self.send(request, target)
        fields = {"result": outcome.result, "status": outcome.status, "reason": outcome.reason}
        log.info(
            "Connectivity tested",
            extra={"integration_id": target.id, "target": target.name, "kind": self.slug} | fields,
        )
        return outcome
