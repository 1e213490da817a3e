"""Finds the kinds of a package: each folder's ``kind.py`` holds one subclass of the package's base class."""

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Protocol, TypeVar

from integrations.errors import IntegrationError


class KindError(IntegrationError):
    """A folder that declares no kind as it should. For developers: it ends the start."""


class _Kind(Protocol):
    @property
    def slug(self) -> str: ...

    @property
    def position(self) -> int: ...


K = TypeVar("K", bound=_Kind)


def kinds_in(package: ModuleType, base: type[K]) -> Mapping[str, K]:
    """The kinds by slug, in the order of their positions. Raises :class:`KindError`."""
    found = []
    for folder in pkgutil.iter_modules(package.__path__):
        name = f"{package.__name__}.{folder.name}.kind"
        if folder.ispkg and find_spec(name):
            found.append(_kind_of(import_module(name), base, folder.name))
    return {kind.slug: kind for kind in sorted(found, key=lambda kind: (kind.position, kind.slug))}


def _kind_of(module: ModuleType, base: type[K], folder: str) -> K:
    name = module.__name__
    classes = [
        member
        for member in vars(module).values()
        if isinstance(member, type) and issubclass(member, base) and member.__module__ == name
    ]
    if len(classes) != 1:
        raise KindError(f"{name} declares {len(classes)} subclasses of {base.__name__}. Declare one.")
    kind = classes[0]()
    if kind.slug != folder:
        raise KindError(f"{name} declares the slug “{kind.slug}”. Use the folder's name, “{folder}”.")
    return kind
