"""The base class of the kinds of source that are read through an API.

A kind is one folder, ``integrations/sources/<slug>/``, with ``kind.py`` (one subclass) and ``logo.svg``. It makes one
request at a time and returns records; it loops over nothing, waits for nothing and reads no table. The driver
(cii_project/sync/) owns loop, limits, checkpoints and import.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

from requests.auth import AuthBase

from integrations.json_types import Json, JsonMapping
from integrations.source_data import Cursor, ProbeResult, RecordPage, SourceSettings
from integrations.sources.shared.connection_kind import ConnectionKind
from integrations.sources.shared.provider_call import ProviderCall


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A limit of the provider, by its name: calls in ``window`` seconds, until an answer names another number."""

    name: str
    calls: float
    window: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeLog:
    """The provider's log, from which a pass learns whose fields have changed.

    The first cursor of such a pass is a period, ``{"since": …, "until": …}`` in RFC 3339, which the driver chooses. Its records
    hold a ``source_key`` alone: they name accounts for the pass ``of``, which takes one call each, and nothing of them is
    imported. ``kept``: how long the provider keeps an event. ``late``: how long after its time an event may appear; the
    periods of two syncs overlap by it.
    """

    of: str
    kept: timedelta
    late: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncPassKind:
    """One reading of a source: the listing of its accounts, or a group of their fields.

    ``groups``: the field groups that it brings (checks.models.FieldGroup). ``per_account``: one call for each account,
    which the driver names. ``absent``: what a complete reading says of the accounts that it does not name.
    ``optional``: it runs only while the setting ``passes.<slug>`` is true. ``one_session``: its places are valid on one
    connection alone, so one worker reads it to its end; another worker starts again. ``changes``: it reads a log, which
    stands before the pass that it names accounts for.
    """

    slug: str
    label: str
    groups: Sequence[str]
    limit: RateLimit
    per_account: bool = False
    absent: Mapping[str, Json] = field(default_factory=dict)
    needs: str = ""
    optional: bool = False
    one_session: bool = False
    changes: ChangeLog | None = None


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token for a source: text, lifetime in seconds, and the PEM of the key that proves its possession (DPoP)."""

    text: str = field(repr=False)
    lifetime: int
    proof_key: str = field(default="", repr=False)


class ApiSource(ConnectionKind):
    """A kind that the product reads. The single instance of each subclass is in :data:`integrations.sources.API_SOURCES`."""

    # The first is the listing of all accounts.
    passes: ClassVar[tuple[SyncPassKind, ...]]
    # Whether its records are those of a file, by the file's own names, as shared/file_records.py packs them.
    reads_file: ClassVar[bool] = False

    @property
    def listing(self) -> SyncPassKind:
        return self.passes[0]

    def pass_of(self, slug: str) -> SyncPassKind:
        """The pass of that slug. Raises KeyError."""
        return {each.slug: each for each in self.passes}[slug]

    def passes_of(self, settings: JsonMapping) -> list[SyncPassKind]:
        """The passes that a source with these settings reads, the listing first."""
        chosen = settings.get("passes") or {}
        return [each for each in self.passes if not each.optional or chosen.get(each.slug)]

    def fetch_token(self, source: SourceSettings) -> AccessToken | None:
        """Ask for an access token; None where requests carry a stored secret. Raises
        :class:`~integrations.source_data.SourceFault`."""
        return None

    def auth(self, source: SourceSettings, token: AccessToken | None) -> AuthBase | None:
        """The authorization of HTTP requests; None for a protocol that signs in. ``token``: None where none
        is needed."""
        return None

    @abstractmethod
    def call(self, source: SourceSettings, auth: AuthBase | None) -> ProviderCall:
        """Make the sender of a source's requests, which :meth:`fetch` and :meth:`probe` get."""

    @abstractmethod
    def fetch(self, reading: SyncPassKind, call: Any, cursor: Cursor | None) -> RecordPage:
        """One page of a pass, by one request. ``cursor``: that of the page before; None for the first page.

        Raises :class:`~integrations.source_data.SourceFault`.
        """

    def fetch_account(self, reading: SyncPassKind, call: Any, key: str) -> RecordPage:
        """The fields of one account in a pass with ``per_account``, by one request. ``key``: its ``source_key``."""
        raise NotImplementedError

    @abstractmethod
    def probe(self, source: SourceSettings, call: Any, scopes: Sequence[str] | None) -> ProbeResult:
        """Try each permission with one call. ``scopes``: those in the access token, where it names them."""

    def token_scopes(self, token: str) -> list[str] | None:
        """The scopes that an access token names; None where it cannot be read."""
        return None
