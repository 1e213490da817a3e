"""The kinds of target, found by walking this package: ``<slug>/kind.py`` holds one subclass of :class:`TargetKind`."""

import sys
from collections.abc import Mapping, Sequence

from integrations.kind_folders import kinds_in
from integrations.targets.shared.target_kind import TargetKind

# By slug, in the order in which the gallery shows them.
KINDS: Mapping[str, TargetKind] = kinds_in(sys.modules[__name__], TargetKind)  # type: ignore[type-abstract]


def kind_of(slug: str) -> TargetKind:
    """The kind of that slug. Raises KeyError with the slugs that exist."""
    try:
        return KINDS[slug]
    except KeyError:
        raise KeyError(f"There is no kind “{slug}”. Kinds: {', '.join(KINDS)}.") from None


def is_secret_key(slug: str, keys: Sequence[str]) -> bool:
    """Whether these keys lead to a secret value in a document of that kind."""
    return kind_of(slug).is_secret(keys)
