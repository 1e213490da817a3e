"""What every kind of source declares, whether the product reads it (``ApiSource``) or it pushes (``PushSource``)."""

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

from integrations.json_types import JsonMapping, JsonObject
from integrations.logos import logo_path
from integrations.target_data import CleanedDocument, Document
from integrations.targets.shared import setting_fields
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.setting_fields import Field


class ConnectionKind(ABC):
    """One kind of source. The single instance of each subclass is in :data:`integrations.sources.SOURCE_KINDS`."""

    # The folder's name, and the kind in configuration files, URLs and the database.
    slug: ClassVar[str]
    label: ClassVar[str]
    # One sentence for the gallery.
    summary: ClassVar[str]
    # The vendor, as the contract writes it.
    provider: ClassVar[str]
    # ``identity`` or ``hr`` where all sources of this kind are of one kind of system; "" where a member chooses.
    system: ClassVar[str] = ""
    position: ClassVar[int] = 1000
    form_fields: ClassVar[tuple[Field, ...]]
    # What to prepare at the provider, a sentence or two each; docs/sources/<slug>.md says more.
    steps: ClassVar[tuple[str, ...]]

    @property
    def logo(self) -> str:
        """The static path of ``logo.svg`` in the kind's folder."""
        return logo_path(self.slug, folder="sources")

    @property
    def secret_paths(self) -> frozenset[str]:
        """Dotted paths of the document whose value is secret."""
        return frozenset(each.path for each in self.form_fields if each.secret)

    def is_secret(self, keys: Sequence[str]) -> bool:
        """Whether these nested keys of a document lead to a secret value."""
        return ".".join(keys) in self.secret_paths

    def clean(self, document: Document, stored: CleanedDocument | None = None) -> CleanedDocument:
        """Validate; an absent secret keeps the stored one. Raises
        :class:`~integrations.target_data.InvalidDocument`."""
        return setting_fields.clean_fields(self.form_fields, document, stored, self.check)

    def check(  # noqa: B027  an optional hook
        self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject
    ) -> None:
        """Report through ``reader`` the errors that concern more than one field."""

    def describe(self, settings: JsonMapping) -> list[tuple[str, str]]:
        """Label and value of each setting that may be shown; a secret stands as a mask."""
        return setting_fields.describe_fields(self.form_fields, settings)


class PushSource(ConnectionKind):
    """A kind whose accounts arrive by requests to the product. Its secret is a token that the product makes and of which
    it stores a digest; a configuration file may give one (``token``)."""

    form_fields: ClassVar[tuple[Field, ...]] = ()

    def is_secret(self, keys: Sequence[str]) -> bool:
        return list(keys) == ["token"]
