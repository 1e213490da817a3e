"""The kinds of source with an API, found by walking this package: ``<slug>/kind.py`` holds one subclass of
:class:`~integrations.sources.shared.api_source.ApiSource` or
:class:`~integrations.sources.shared.connection_kind.PushSource`."""

import sys
from collections.abc import Mapping

from integrations.kind_folders import kinds_in
from integrations.sources.shared.api_source import ApiSource
from integrations.sources.shared.connection_kind import ConnectionKind

# By slug, in the order in which the gallery shows them.
SOURCE_KINDS: Mapping[str, ConnectionKind] = kinds_in(sys.modules[__name__], ConnectionKind)
# Those of them that the product reads.
API_SOURCES: Mapping[str, ApiSource] = {
    slug: kind for slug, kind in SOURCE_KINDS.items() if isinstance(kind, ApiSource)
}
